//! Ids that the page chooses.

use std::fmt::Write as _;

/// A fresh UUIDv7: time first, so that ids sort by it, then random bits.
///
/// Only in a browser; elsewhere nobody sends a message.
pub fn turn_id() -> String {
    let mut bytes = [0u8; 16];
    let crypto = leptos::prelude::window().crypto();
    let filled = crypto.is_ok_and(|c| c.get_random_values_with_u8_array(&mut bytes).is_ok());
    if !filled {
        bytes.iter_mut().for_each(|byte| *byte = (js_sys::Math::random() * 256.0) as u8);
    }
    uuid_v7(js_sys::Date::now() as u64, bytes)
}

fn uuid_v7(now_ms: u64, random: [u8; 16]) -> String {
    let mut bytes = random;
    bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let mut id = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing into a string does not fail.
        write!(id, "{byte:02x}").ok();
    }
    id
}

#[cfg(test)]
mod tests {
    use super::uuid_v7;

    #[test]
    fn an_id_carries_its_time_version_and_variant() {
        let id = uuid_v7(0x0190_1234_5678, [0xff; 16]);
        assert_eq!(id, "01901234-5678-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        assert!(uuid_v7(1, [0xff; 16]) < uuid_v7(2, [0; 16]));
    }
}
