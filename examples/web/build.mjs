// Builds the page into dist/: index.html, style.css and one script. The page calls Envoy at the origin CINEMA_API.
import { readFile, writeFile, copyFile, mkdir } from "node:fs/promises";
import { build } from "esbuild";

const api = new URL(process.env.CINEMA_API ?? "http://127.0.0.1:50051").origin;
await mkdir("dist", { recursive: true });
const output = { bundle: true, minify: true, format: "esm", target: "es2022", outfile: "dist/main.js" };
await build({ entryPoints: ["src/main.ts"], ...output });
await writeFile("dist/index.html", (await readFile("index.html", "utf8")).replaceAll("%API%", api));
await copyFile("style.css", "dist/style.css");
