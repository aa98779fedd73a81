//! Buys three seats and cancels them: what a customer's client does, against a server without TLS. See docs/clients.md.

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, SystemTime};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;
use tonic::{Request, Streaming};
use tonic_types::StatusExt;
use uuid::Uuid;

use cinema_v1::auth_service_client::AuthServiceClient;
use cinema_v1::booking_service_client::BookingServiceClient;
use cinema_v1::showtime_service_client::ShowtimeServiceClient;
use cinema_v1::{
    CancelBookingRequest, ConfirmPaymentRequest, CreateBookingRequest, ListShowtimesRequest, RegisterRequest,
    SeatStatus, SuggestSeatsRequest, WatchSeatsRequest, WatchSeatsResponse,
};

#[allow(clippy::all)] // generated
mod cinema_v1 {
    include!("../gen/cinema/v1/cinema.v1.rs");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: buyseats HOST:PORT")?;
    // Each call may take 40 seconds: the payment provider may take 30.
    let endpoint = Endpoint::try_from(format!("http://{address}"))?.timeout(Duration::from_secs(40));
    let channel = endpoint.connect().await?;
    let mut auth = AuthServiceClient::new(channel.clone());
    let mut showtimes = ShowtimeServiceClient::new(channel.clone());

    let name = format!("rust-{}", &new_id()[..8]);
    let account = RegisterRequest {
        email: format!("{name}@example.com"),
        username: name,
        password: new_id(),
        full_name: "Ada".into(),
    };
    let registered = auth.register(account).await?.into_inner();
    println!("registered {}", registered.user.unwrap_or_default().username);
    let token: MetadataValue<Ascii> =
        format!("Bearer {}", registered.tokens.unwrap_or_default().access_token).parse()?;
    let mut bookings = BookingServiceClient::with_interceptor(channel, move |mut call: Request<()>| {
        call.metadata_mut().insert("authorization", token.clone());
        Ok(call)
    });

    let in_two_days = SystemTime::now() + Duration::from_secs(48 * 3600);
    let page = ListShowtimesRequest { start_time_from: Some(in_two_days.into()), page_size: 3, ..Default::default() };
    let listed = showtimes.list_showtimes(page).await?.into_inner().showtimes;
    println!("listed {} showtimes", listed.len());
    let showtime_id = listed.first().ok_or("there are no showtimes two days from now or later")?.showtime_id.clone();

    let party =
        SuggestSeatsRequest { showtime_id: showtime_id.clone(), party_size: 3, max_options: 1, ..Default::default() };
    let options = showtimes.suggest_seats(party).await?.into_inner().options;
    let option = options.into_iter().find(|each| each.together).ok_or("three seats together are not free")?;
    let seats = option.seats;
    println!("suggested {}", seats.join(","));

    let hold = |seats: &[String]| CreateBookingRequest {
        showtime_id: showtime_id.clone(),
        seats: seats.to_vec(),
        request_id: new_id(),
        ..Default::default()
    };
    let outer = [seats[0].clone(), seats[2].clone()]; // without the seat in the middle
    if let Err(status) = bookings.create_booking(hold(&outer)).await {
        let refusal = status.get_details_error_info().ok_or("the error did not come from the service")?;
        let stranded = refusal.metadata.get("stranded_seats").map_or("", String::as_str);
        println!("refused {} stranded_seats {stranded}", refusal.reason);
    }

    let all_three = hold(&seats);
    let booking = bookings.create_booking(all_three.clone()).await?.into_inner().booking.unwrap_or_default();
    let price = booking.total_price.unwrap_or_default();
    println!("booked {} seats for {} {}", booking.seats.len(), price.minor_units, price.currency_code);

    // The same request_id: as after a lost response.
    let repeated = bookings.create_booking(all_three).await?.into_inner().booking.unwrap_or_default();
    println!("repeated, same booking: {}", repeated.booking_id == booking.booking_id);

    let payment = ConfirmPaymentRequest {
        booking_id: booking.booking_id.clone(),
        payment_token: "tok_visa".into(),
        request_id: new_id(),
    };
    let paid = bookings.confirm_payment(payment).await?.into_inner().booking.unwrap_or_default();
    println!("paid, {} tickets", paid.tickets.len());

    let watch = WatchSeatsRequest { showtime_id, after_revision: 0 };
    let mut frames = showtimes.watch_seats(watch).await?.into_inner();
    wait_for(&mut frames, &seats, SeatStatus::Sold).await?;
    let cancellation =
        CancelBookingRequest { booking_id: booking.booking_id, request_id: new_id(), ..Default::default() };
    let cancelled = bookings.cancel_booking(cancellation).await?.into_inner().booking.unwrap_or_default();
    println!("cancelled, {}% refunded", cancelled.refund.unwrap_or_default().percent);
    wait_for(&mut frames, &seats, SeatStatus::Available).await
}

/// Reads frames until all of the seats have a status.
async fn wait_for(
    frames: &mut Streaming<WatchSeatsResponse>,
    seats: &[String],
    status: SeatStatus,
) -> Result<(), Box<dyn Error>> {
    let mut current = HashMap::new();
    while !seats.iter().all(|seat| current.get(seat) == Some(&status)) {
        let frame = frames.message().await?.ok_or("the stream has ended")?;
        current.extend(frame.seats.into_iter().map(|each| (each.seat.clone(), each.status())));
    }
    println!("watched {} {}", seats.join(","), status.as_str_name());
    Ok(())
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}
