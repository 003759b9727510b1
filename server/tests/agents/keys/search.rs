//! Looks for keys, in whatever way they may be written.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use crate::support::Process;

pub(crate) struct Search {
    needles: Vec<String>,
    looked_into: Vec<String>,
    /// Where there was a key. Never which.
    pub(crate) found: Vec<String>,
}

impl Search {
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let needles = keys.into_iter().flat_map(written).collect();
        Self { needles, looked_into: Vec::new(), found: Vec::new() }
    }

    /// Looks into all files below a folder.
    pub(crate) fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, kind) =
                (entry.as_ref().unwrap().path(), entry.unwrap().file_type().unwrap());
            if kind.is_dir() {
                self.files(&path);
            } else if kind.is_file() {
                self.bytes(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
    }

    /// Looks at environments and command lines. Answers how many could be read.
    pub(crate) fn processes(&mut self, processes: &[Process]) -> usize {
        let told: Vec<_> = processes.iter().map(Process::told).collect();
        let readable = told.iter().filter(|told| !told.is_empty());
        readable.clone().for_each(|told| self.bytes("a process", told));
        readable.count()
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.looked_into.push(name.to_owned());
        // Of what is no text, the parts that are.
        let text = String::from_utf8_lossy(bytes);
        if self.needles.iter().any(|needle| text.contains(needle)) {
            self.found.push(name.to_owned());
        }
    }

    /// A search that looked at nothing proves nothing.
    #[track_caller]
    pub(crate) fn assert_looked_into(&self, file: &str) {
        let is_it = |name: &String| Path::new(name).file_name().is_some_and(|name| name == file);
        assert!(self.looked_into.iter().any(is_it), "{file}: {:#?}", self.looked_into);
    }

    #[track_caller]
    pub(crate) fn assert_nothing_found(&self) {
        assert_eq!(self.found, Vec::<String>::new());
    }
}

/// Ways to write a key: as it is, for an address, in hexadecimal, in base64.
pub(crate) fn written(key: &str) -> Vec<String> {
    let hex = |upper: bool| {
        let digits = key
            .bytes()
            .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        digits.collect::<String>()
    };
    let mut ways = vec![key.to_owned(), for_address(key, true), for_address(key, false)];
    ways.extend([hex(true), hex(false)]);
    for before in 0..3 {
        let text = [vec![0; before], key.as_bytes().to_vec()].concat();
        let whole = STANDARD_NO_PAD.encode(&text);
        // Only characters that are made of nothing but the key: what stands beside it is not known.
        let inside = &whole[(before * 8).div_ceil(6)..text.len() * 8 / 6];
        ways.extend([inside.to_owned(), inside.replace('+', "-").replace('/', "_")]);
    }
    ways
}

fn for_address(key: &str, upper: bool) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte if upper => format!("%{byte:02X}"),
        byte => format!("%{byte:02x}"),
    };
    key.bytes().map(byte).collect()
}
