//! What the lexer has to know of each language.

/// How a language is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Code,
    Markup,
    Diff,
}

#[derive(Debug)]
pub(super) struct Language {
    /// Names after a fence, lower case.
    pub names: &'static [&'static str],
    pub style: Style,
    /// Parted by spaces.
    pub keywords: &'static str,
    pub line_comments: &'static [&'static str],
    pub block_comment: Option<(&'static str, &'static str)>,
    /// Quotes that open and close a text, the longest first.
    pub quotes: &'static [&'static str],
    /// Of the quotes, those whose text may span lines.
    pub long_quotes: &'static [&'static str],
    pub traits: Traits,
}

/// Ways in which single languages differ from the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    /// `'a` is no text unless it closes after one character; `name!` is a call; raw texts.
    pub rust: bool,
    /// `$name` is a variable, the first word of a command is a call, `#` needs a space before it.
    pub shell: bool,
    /// A text or a name before `:` or `=` is a key.
    pub keys: bool,
    /// Keywords are the same in upper case.
    pub any_case: bool,
    /// Names may hold `-`.
    pub dashes: bool,
}

const PLAIN: Traits =
    Traits { rust: false, shell: false, keys: false, any_case: false, dashes: false };

const C_LIKE: Language = Language {
    names: &[],
    style: Style::Code,
    keywords: "",
    line_comments: &["//"],
    block_comment: Some(("/*", "*/")),
    quotes: &["\"", "'"],
    long_quotes: &[],
    traits: PLAIN,
};

pub(super) const ALL: &[Language] = &[
    Language {
        names: &["rust", "rs"],
        keywords: "as async await break const continue crate dyn else enum extern false fn for if \
            impl in let loop match mod move mut pub ref return self Self static struct super trait \
            true type unsafe use where while",
        quotes: &["\"", "'"],
        long_quotes: &["\""],
        traits: Traits { rust: true, ..PLAIN },
        ..C_LIKE
    },
    Language {
        names: &["python", "py", "python3"],
        keywords: "and as assert async await break case class continue def del elif else except \
            False finally for from global if import in is lambda match None nonlocal not or pass \
            raise return True try while with yield",
        line_comments: &["#"],
        block_comment: None,
        quotes: &["\"\"\"", "'''", "\"", "'"],
        long_quotes: &["\"\"\"", "'''"],
        ..C_LIKE
    },
    Language {
        names: &["javascript", "js", "jsx", "mjs", "typescript", "ts", "tsx"],
        keywords: "abstract as async await break case catch class const continue debugger declare \
            default delete do else enum export extends false finally for from function if \
            implements import in instanceof interface let new null of private protected public \
            readonly return satisfies static super switch this throw true try type typeof \
            undefined var void while with yield",
        quotes: &["\"", "'", "`"],
        long_quotes: &["`"],
        ..C_LIKE
    },
    Language {
        names: &["go", "golang"],
        keywords: "break case chan const continue default defer else fallthrough false for func go \
            goto if import interface map nil package range return select struct switch true type \
            var",
        quotes: &["\"", "'", "`"],
        long_quotes: &["`"],
        ..C_LIKE
    },
    Language {
        names: &[
            "c", "h", "cpp", "c++", "cc", "hpp", "java", "kotlin", "kt", "swift", "csharp", "cs",
        ],
        keywords: "abstract auto bool boolean break byte case catch char class const constexpr \
            continue default delete do double else enum extends extern false final finally float \
            for func fun goto if implements import include inline int interface let long namespace \
            new null nullptr package private protected public register return short signed sizeof \
            static struct super switch template this throw true try typedef typename union \
            unsigned using val var virtual void volatile when while",
        ..C_LIKE
    },
    Language {
        names: &["bash", "sh", "shell", "zsh", "console", "terminal"],
        keywords: "case do done elif else esac export fi for function if in local return select \
            set then until while",
        line_comments: &["#"],
        block_comment: None,
        long_quotes: &["\"", "'"],
        traits: Traits { shell: true, dashes: true, ..PLAIN },
        ..C_LIKE
    },
    Language {
        names: &["json", "jsonc", "json5", "jsonl"],
        keywords: "true false null",
        traits: Traits { keys: true, ..PLAIN },
        ..C_LIKE
    },
    Language {
        names: &["toml", "yaml", "yml", "ini", "dockerfile", "makefile"],
        keywords: "true false null yes no on off FROM RUN COPY CMD ENV WORKDIR EXPOSE ENTRYPOINT",
        line_comments: &["#"],
        block_comment: None,
        quotes: &["\"\"\"", "'''", "\"", "'"],
        long_quotes: &["\"\"\"", "'''"],
        traits: Traits { keys: true, dashes: true, ..PLAIN },
        ..C_LIKE
    },
    Language {
        names: &["sql", "sqlite", "postgres", "postgresql", "mysql"],
        keywords: "add all alter and as asc between by case check column commit conflict constraint \
            create cross default delete desc distinct do drop else end exists foreign from full \
            group having if in index inner insert into is join key left like limit not nothing null \
            on or order outer primary references returning right rollback select set table then \
            transaction union unique update using values view when where with",
        line_comments: &["--"],
        traits: Traits { any_case: true, ..PLAIN },
        ..C_LIKE
    },
    Language {
        names: &["css", "scss"],
        keywords: "and from important media not only supports to",
        line_comments: &[],
        traits: Traits { keys: true, dashes: true, ..PLAIN },
        ..C_LIKE
    },
    Language { names: &["html", "xml", "svg", "vue"], style: Style::Markup, ..C_LIKE },
    Language { names: &["diff", "patch"], style: Style::Diff, ..C_LIKE },
];

/// The language of a fence's first word, or of a file's ending.
pub(super) fn by_name(name: &str) -> Option<&'static Language> {
    let name = name.to_ascii_lowercase();
    ALL.iter().find(|language| language.names.contains(&name.as_str()))
}
