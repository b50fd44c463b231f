//! Time-based codes (RFC 6238), as an app makes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{KeyInit as _, Mac as _};

const STEP: u64 = 30;

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The bytes of a secret in base32 (RFC 4648 section 6).
fn bytes_of(secret: &str) -> Vec<u8> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in secret.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|one| *one == letter).expect("base32");
        bits = (bits << 5) | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}

/// The code of now, or of so many steps before or after now.
pub fn code_at(secret: &str, steps: i64) -> String {
    let step = (seconds() / STEP).checked_add_signed(steps).unwrap();
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(&bytes_of(secret)).unwrap();
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Waits until another step begins: its codes are none that were used before.
pub async fn next_step() {
    let now = seconds() / STEP;
    while seconds() / STEP == now {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until this step has so many seconds left: then the codes before and after it are taken for as long.
pub async fn with_time_left(left: u64) {
    while STEP - seconds() % STEP < left {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
