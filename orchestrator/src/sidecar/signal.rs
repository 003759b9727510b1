//! Signals by their names and numbers.

use rustix::process::Signal;
use serde_json::Value;

const KNOWN: [(&str, Signal); 16] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("TERM", Signal::TERM),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("WINCH", Signal::WINCH),
];

/// `SIGTERM`, `term` or 15.
pub(super) fn named(wanted: &Value) -> Option<Signal> {
    let by = |fits: &dyn Fn(&str, i64) -> bool| {
        let known = KNOWN.iter().find(|(name, signal)| fits(name, i64::from(signal.as_raw())));
        known.map(|(_, signal)| *signal)
    };
    if let Some(number) = wanted.as_i64() {
        return by(&|_, known| known == number);
    }
    let name = wanted.as_str()?.to_ascii_uppercase();
    let bare = name.strip_prefix("SIG").unwrap_or(&name);
    by(&|known, number| known == bare || number.to_string() == bare)
}

/// The signal that an exit code tells of, as shells have it: 128 + n.
pub(super) fn of_exit(code: i32) -> Option<String> {
    let known = KNOWN.iter().find(|(_, signal)| signal.as_raw() + 128 == code);
    known.map(|(name, _)| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signals_go_by_name_and_by_number() {
        for wanted in [json!("SIGTERM"), json!("term"), json!(15), json!("15")] {
            assert!(named(&wanted) == Some(Signal::TERM), "{wanted}");
        }
        for none in [json!("SIGNONE"), json!(0), json!(-9), json!(1e99), json!(""), json!(null)] {
            assert!(named(&none).is_none(), "{none}");
        }
    }

    #[test]
    fn an_exit_code_above_128_tells_of_its_signal() {
        assert_eq!(of_exit(137).as_deref(), Some("SIGKILL"));
        assert_eq!((of_exit(0), of_exit(9), of_exit(255)), (None, None, None));
    }
}
