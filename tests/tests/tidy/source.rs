//! One Rust file as a flat list of tokens, and what rules ask of it.
//!
//! Tokens, not a syntax tree: rules then hold inside of macros as well. Comments are gone and
//! strings are single tokens, so neither can be taken for code.
//!
//! Deliberately absent: types and resolved names. A path is what is written.

use std::ops::Range;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tree;

/// A Rust file.
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug)]
pub(crate) struct Token {
    /// As written. A bracket is a token of its own; so is each half of `::`.
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ident,
    Punct,
    Literal,
    /// An opening bracket, and the index of its closing one.
    Open(usize),
    Close,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From `fn` to the closing brace.
    pub(crate) line_count: usize,
}

impl Source {
    /// All Rust files of the project. Panics if one cannot be cut into tokens.
    pub(crate) fn all() -> Vec<Self> {
        tree::files("rs").into_iter().map(Self::read).collect()
    }

    fn read(path: String) -> Self {
        let text = tree::read(&path);
        let stream = TokenStream::from_str(&text)
            .unwrap_or_else(|error| panic!("{path}:{}: {error}", error.span().start().line));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Self { path, text, tokens }
    }

    /// Whether the tokens from `at` on read as `words`.
    pub(crate) fn reads(&self, at: usize, words: &[&str]) -> bool {
        let tokens = self.tokens[at..].iter().map(|token| token.text.as_str());
        tokens.take(words.len()).eq(words.iter().copied())
    }

    /// Where the identifier `name` stands.
    pub(crate) fn positions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let tokens = self.tokens.iter().enumerate();
        tokens
            .filter(move |(_, token)| token.kind == Kind::Ident && token.text == name)
            .map(|(index, _)| index)
    }

    /// The name that follows the keyword at `at`: `new` for the `fn` of `fn new`.
    pub(crate) fn name_after(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at + 1).filter(|token| token.kind == Kind::Ident)
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        self.positions("fn")
            .filter_map(|at| {
                let name = self.name_after(at)?;
                let line = self.tokens[at].line;
                let end = self.body_after(at)?.end;
                let line_count = self.tokens[end].line - line + 1;
                Some(Function { name: name.text.clone(), line, line_count })
            })
            .collect()
    }

    /// The brackets, as indices of tokens, of the block that the item at `at` has; if it has one.
    fn body_after(&self, mut at: usize) -> Option<Range<usize>> {
        loop {
            let token = self.tokens.get(at)?;
            match token.kind {
                Kind::Open(end) if token.text == "{" => return Some(at..end),
                Kind::Open(end) => at = end + 1,
                Kind::Close => return None,
                _ if token.text == ";" => return None,
                _ => at += 1,
            }
        }
    }

    /// Whether the token at `index` is code of a test.
    pub(crate) fn is_test(&self, index: usize) -> bool {
        let in_test_file = self.path.split('/').any(|part| part == "tests" || part == "tests.rs");
        in_test_file || self.test_modules().any(|module| module.contains(&index))
    }

    /// The bodies of what stands under `#[cfg(test)]`, as indices of tokens.
    fn test_modules(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.positions("cfg").filter_map(|at| {
            let Kind::Open(end) = self.tokens.get(at + 1)?.kind else { return None };
            let is_test = self.tokens[at + 1..end].iter().any(|token| token.text == "test");
            is_test.then(|| self.body_after(end + 2)).flatten()
        })
    }

    /// Every path that is named, `use` trees taken apart, as `a::b::c`, and its line.
    pub(crate) fn paths(&self) -> Vec<(String, usize)> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let token = &self.tokens[at];
            if token.kind != Kind::Ident {
                at += 1;
            } else if token.text == "use" {
                at = self.use_tree(at + 1, "", &mut paths);
            } else {
                let (path, after) = self.path_at(at);
                paths.push((path, token.line));
                at = after;
            }
        }
        paths
    }

    /// The path that begins at `at`, and the index behind it.
    fn path_at(&self, mut at: usize) -> (String, usize) {
        let mut path = self.tokens[at].text.clone();
        at += 1;
        while self.reads(at, &[":", ":"])
            && self.tokens.get(at + 2).is_some_and(|token| token.kind == Kind::Ident)
        {
            path.push_str("::");
            path.push_str(&self.tokens[at + 2].text);
            at += 3;
        }
        (path, at)
    }

    /// Adds the paths of one `use` tree, each behind `prefix`; the index behind the tree.
    fn use_tree(&self, mut at: usize, prefix: &str, paths: &mut Vec<(String, usize)>) -> usize {
        if self.reads(at, &[":", ":"]) {
            at += 2;
        }
        let mut path = prefix.to_owned();
        let line = self.tokens[at].line;
        if self.tokens[at].kind == Kind::Ident {
            let (name, after) = self.path_at(at);
            path = if path.is_empty() { name } else { format!("{path}::{name}") };
            at = after;
        }
        if self.reads(at, &[":", ":", "{"]) {
            at += 2;
        }
        let Some(Token { kind: Kind::Open(end), .. }) = self.tokens.get(at) else {
            paths.push((path, line));
            return at;
        };
        at += 1;
        while at < *end {
            at = self.use_tree(at, &path, paths);
            while at < *end && self.tokens[at].text != "," {
                at += 1;
            }
            at += 1;
        }
        end + 1
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let (text, kind) = match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                let start = tokens.len();
                tokens.push(Token { text: open.to_owned(), line, kind: Kind::Open(0) });
                flatten(group.stream(), tokens);
                tokens[start].kind = Kind::Open(tokens.len());
                let line = group.span_close().start().line;
                tokens.push(Token { text: close.to_owned(), line, kind: Kind::Close });
                continue;
            }
            TokenTree::Ident(ident) => (ident.to_string(), Kind::Ident),
            TokenTree::Punct(punct) => (punct.as_char().to_string(), Kind::Punct),
            TokenTree::Literal(literal) => (literal.to_string(), Kind::Literal),
        };
        tokens.push(Token { text, line, kind });
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}
