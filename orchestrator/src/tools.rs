//! An agent's hands: the commands and files of the sandbox it runs in.

use sandbox_sdk::types::{Exec, ExecResult, ReadFile, WriteFile};

use crate::sidecar::{CommandRunner, FileEntry, FileStore, Problem};

#[derive(Clone)]
pub(crate) struct Tools {
    commands: CommandRunner,
    files: FileStore,
}

impl Tools {
    pub(crate) fn new(commands: CommandRunner, files: FileStore) -> Self {
        Self { commands, files }
    }

    /// Runs a command to its end, or to its time-out. Dropping the future kills it with all that it
    /// started.
    pub(crate) async fn run(&self, exec: Exec) -> Result<ExecResult, Problem> {
        self.commands.run(exec).await
    }

    /// A text file as a whole.
    pub(crate) async fn read(&self, path: &str) -> Result<String, Problem> {
        let request = ReadFile { path: path.to_owned(), encoding: None };
        self.files.read(request).await.map(|file| file.content)
    }

    /// Writes a file, with the folders above it. Returns its size in bytes.
    pub(crate) async fn write(&self, path: &str, content: String) -> Result<u64, Problem> {
        let request = WriteFile { path: path.to_owned(), content, ..WriteFile::default() };
        self.files.write(request).await
    }

    /// Lists a folder, folders first. The flag says that there are more entries.
    pub(crate) async fn list(&self, path: &str) -> Result<(Vec<FileEntry>, bool), Problem> {
        self.files.list(path.to_owned()).await
    }
}

/// The beginning and the end of a text longer than `most` characters, and what is missing between.
pub(crate) fn cut_middle(text: &str, most: usize) -> String {
    // As many bytes at least as characters: the common case needs no counting.
    if text.len() <= most {
        return text.to_owned();
    }
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let at = |character: usize| {
        text.char_indices().nth(character).map_or(text.len(), |(position, _)| position)
    };
    let (head, tail) = (at(most * 3 / 4), at(length - most / 4));
    let missing = length - most * 3 / 4 - most / 4;
    format!("{}\n… {missing} characters left out …\n{}", &text[..head], &text[tail..])
}

/// A fenced block that holds the text, whatever fences it holds itself.
pub(crate) fn fenced(language: &str, text: &str) -> String {
    let mut fence = String::from("```");
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::{cut_middle, fenced};

    #[test]
    fn a_long_text_keeps_both_ends_and_says_what_is_missing() {
        let text = format!("begin{}end", "ä".repeat(1000));
        let cut = cut_middle(&text, 100);
        assert!(cut.starts_with("beginä") && cut.ends_with("äend"));
        assert!(cut.contains("… 908 characters left out …"));
        let kept = cut.lines().filter(|line| !line.contains("left out"));
        assert_eq!(kept.map(|line| line.chars().count()).sum::<usize>(), 100);
    }

    #[test]
    fn a_fence_is_longer_than_those_inside() {
        assert_eq!(fenced("", "a\n```\nb"), "````\na\n```\nb\n````");
    }

    #[test]
    fn a_text_that_fits_stays_as_it_is() {
        assert_eq!(cut_middle("ääää", 4), "ääää");
        assert_eq!(cut_middle("", 0), "");
    }
}
