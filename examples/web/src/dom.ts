// Elements, money and times.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Money } from "../gen/cinema/v1/money_pb";

/** Return the element of the page with an id. */
export function byId<Type extends HTMLElement>(id: string): Type {
  return document.getElementById(id) as Type;
}

/** Create an element with properties and children. */
export function create<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Write an amount: "€37.50". Its minor units become a decimal without going through a float. */
export function money(amount: Money): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency: amount.currencyCode });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 0;
  const units = amount.minorUnits.toString().padStart(digits + 1, "0");
  const decimal = digits === 0 ? units : `${units.slice(0, -digits)}.${units.slice(-digits)}`;
  return format.format(decimal as Intl.StringNumericLiteral);
}

/** Write a time in a time zone: "Mon, Nov 30, 20:30". */
export function localTime(time: Timestamp, timeZone: string): string {
  return timestampDate(time).toLocaleString("en", {
    timeZone, weekday: "short", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
}

/** Write labels as one does: "C4", "C4 and C5", "C4, C5 and C6". */
export function listed(labels: Iterable<string>): string {
  return new Intl.ListFormat("en-GB").format(labels);
}
