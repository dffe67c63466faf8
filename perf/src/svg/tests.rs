//! The drawing as a reader of XML sees it.

use std::collections::BTreeSet;

use super::*;
use crate::job::Who;
use crate::report::tests::row;

#[test]
fn the_drawing_is_well_formed_and_has_each_name_and_value() {
    let sides = [(Who::ZringIo, 3e6), (Who::ZringCaller, 1e6), (Who::Libzmq, 2e4)];
    let rows = sides.map(|(who, scale)| {
        let mut row = row("throughput", who);
        row.samples.iter_mut().for_each(|sample| sample.value *= scale);
        row
    });
    let drawing = draw(&rows);
    let texts = texts_of(&drawing);
    for (name, value) in [("zring-io", "9.00 M"), ("zring-caller", "3.00 M"), ("libzmq", "60.0 k")]
    {
        assert!(texts.contains(&format!("{name} 64 B").as_str()), "{name} in {texts:?}");
        assert!(texts.contains(&value), "{value} in {texts:?}");
    }
}

#[test]
fn what_was_typed_cannot_break_the_drawing() {
    let text = format!("<text>{}</text>", escape("--svg <&>.svg"));
    assert_eq!(texts_of(&text), ["--svg &lt;&amp;&gt;.svg"]);
}

/// The texts of a document that has nothing but elements, attributes and texts. Panics where it
/// is not XML.
fn texts_of(document: &str) -> Vec<&str> {
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    for (index, piece) in document.trim_end().split_terminator('>').enumerate() {
        let (text, tag) = piece.split_once('<').expect("what ends with `>` is a tag");
        assert_eq!(index == 0, open.is_empty(), "one element holds all: {piece}");
        let is_reference =
            |rest: &str| ["amp;", "lt;", "gt;"].iter().any(|name| rest.starts_with(name));
        assert!(text.split('&').skip(1).all(is_reference), "{text}");
        texts.extend(Some(text.trim()).filter(|text| !text.is_empty()));
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let content = tag.strip_suffix('/').unwrap_or(tag);
        let (name, attributes) = content.split_once(' ').unwrap_or((content, ""));
        check_attributes(attributes);
        open.extend(Some(name).filter(|_| content == tag));
    }
    assert!(open.is_empty(), "{open:?}");
    texts
}

fn check_attributes(mut text: &str) {
    let mut names = BTreeSet::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").expect("a value is quoted");
        let (value, rest) = rest.split_once('"').expect("a quote is closed");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
        assert!(names.insert(name), "{name} twice");
        assert!(!value.contains(['<', '&']), "{value}");
        text = rest.trim_start();
    }
}
