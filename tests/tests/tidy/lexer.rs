//! Cuts Rust into tokens with their lines. Comments and strings are tokens too, so that no rule takes one for code.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
    /// What stands between the quotes, escapes as they are written.
    Text(String),
    /// Without its slashes.
    Comment(String),
}

#[derive(Clone, Debug)]
pub(crate) struct At {
    pub line: usize,
    pub token: Token,
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<At>,
}

/// Lifetimes and numbers come as words: no rule asks for them.
pub(crate) fn tokens(code: &str) -> Vec<At> {
    let mut lexer = Lexer { rest: code, line: 1, found: Vec::new() };
    while let Some(first) = lexer.rest.chars().next() {
        lexer.next(first);
    }
    lexer.found
}

impl Lexer<'_> {
    fn next(&mut self, first: char) {
        if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = self.rest[..length].trim_start_matches(['/', '!']).to_owned();
            self.take(length, Token::Comment(text));
        } else if self.rest.starts_with("/*") {
            let length = block(self.rest);
            self.take(length, Token::Comment(self.rest[2..length].to_owned()));
        } else if let Some((opening, closing)) = quotes(self.rest) {
            self.text(opening, &closing);
        } else if first == '\'' {
            let length = quoted(self.rest);
            self.take(length, Token::Word(self.rest[..length].to_owned()));
        } else if word(first) {
            let length = self.rest.find(|next| !word(next)).unwrap_or(self.rest.len());
            self.take(length, Token::Word(self.rest[..length].to_owned()));
        } else if self.rest.starts_with("::") {
            self.take(2, Token::Path);
        } else {
            self.take(first.len_utf8(), Token::Sign(first));
        }
    }

    fn text(&mut self, opening: usize, closing: &str) {
        let raw = closing.len() > 1 || self.rest.starts_with(['r', 'R']) || self.rest.starts_with("br");
        let inside = &self.rest[opening..];
        let length = if raw { inside.find(closing).unwrap_or(inside.len()) } else { unescaped(inside) };
        let token = Token::Text(inside[..length].to_owned());
        self.take((opening + length + closing.len()).min(self.rest.len()), token);
    }

    fn take(&mut self, length: usize, token: Token) {
        self.found.push(At { line: self.line, token });
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }
}

fn word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Bytes of the comment that begins here; they nest.
fn block(code: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < code.len() {
        let step = match &code.as_bytes()[at..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth = depth.saturating_add_signed(step.0);
        at += step.1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Bytes up to the opening quote with it, and what closes the string that begins here.
fn quotes(code: &str) -> Option<(usize, String)> {
    let plain = code.trim_start_matches(['b', 'c']);
    let plain = if code.len() - plain.len() <= 1 { plain } else { code };
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let opened = raw[hashes..].starts_with('"');
        return opened.then(|| (code.len() - raw.len() + hashes + 1, format!("\"{}", "#".repeat(hashes))));
    }
    plain.starts_with('"').then(|| (code.len() - plain.len() + 1, "\"".to_owned()))
}

fn unescaped(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !escaped => return at,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    text.len()
}

/// Bytes of the character or the lifetime that begins here.
fn quoted(code: &str) -> usize {
    let mut letters = code.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            code[2..].char_indices().skip(1).find(|(_, letter)| *letter == '\'').map_or(code.len(), |(at, _)| at + 3)
        }
        Some((_, first)) => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ if word(first) => code[1..].find(|next| !word(next)).map_or(code.len(), |length| length + 1),
            _ => 1,
        },
        None => 1,
    }
}

#[test]
fn comments_strings_characters_and_lifetimes_are_told_apart() {
    let code =
        "use a::b; // \"no\" use c;\n/* /* d */ */ let x: &'a str = \"e \\\" f\";\nlet y = (r#\"g\" h\"#, '\"', '\\'', b\"i\");";
    let shown: Vec<String> = tokens(code).into_iter().map(|at| format!("{}{:?}", at.line, at.token)).collect();
    let texts = ["2Text(\"e \\\\\\\" f\")", "3Text(\"g\\\" h\")", "3Text(\"i\")"];
    assert!(texts.iter().all(|text| shown.iter().any(|token| token == text)), "{shown:#?}");
    assert_eq!(shown.iter().filter(|token| token.contains("Comment")).count(), 2, "{shown:#?}");
    assert!(!shown.iter().any(|token| token.contains("Word(\"c\")") || token.contains("Word(\"h\")")), "{shown:#?}");
}
