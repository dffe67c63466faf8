//! Tick files: CSV lines of time (ns), symbol, bid, ask, size.
//!
//! A subscription is a prefix, and a symbol may begin another: GOOG begins GOOGL. So a topic is the
//! symbol and the comma behind it, and begins no other.
//!
//! A byte order mark and a line of headings are skipped. A price is a finite number.
//!
//! A small one ships, made by a random walk with a fixed seed (`tests::write_sample`).
//!
//! Deliberately absent: quoting and other currencies of CSV. A symbol has no comma in it.

use crate::error::{Error, Result};

const SAMPLE: &str = include_str!("../ticks/sample.csv");
const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// A tick file, parsed.
pub(crate) struct Ticks {
    /// Of each symbol, in order of first appearance.
    pub(crate) topics: Vec<String>,
    pub(crate) ticks: Vec<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) time_ns: u64,
    /// Index into the topics.
    pub(crate) symbol: usize,
    pub(crate) bid: f64,
    pub(crate) ask: f64,
    pub(crate) size: u32,
}

impl Ticks {
    /// Reads a file, or the sample.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] names the file, and the line that does not parse.
    pub(crate) fn load(path: Option<&str>) -> Result<Self> {
        let Some(path) = path else { return Self::parse("the shipped sample", SAMPLE) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::Usage(format!("tick file {path}: {error}")))?;
        Self::parse(path, &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self> {
        let mut topics = Vec::new();
        let mut indexes = std::collections::HashMap::new();
        let mut ticks = Vec::new();
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || (number == 0 && is_heading(line)) {
                continue;
            }
            let (symbol, mut tick) = parse_line(line).ok_or_else(|| {
                Error::Usage(format!(
                    "tick file {path}, line {}: want time,symbol,bid,ask,size, not {line:?}",
                    number + 1
                ))
            })?;
            tick.symbol = *indexes.entry(symbol.to_owned()).or_insert_with(|| {
                topics.push(format!("{symbol},"));
                topics.len() - 1
            });
            ticks.push(tick);
        }
        match ticks.is_empty() {
            true => Err(Error::Usage(format!("tick file {path} has no ticks"))),
            false => Ok(Self { topics, ticks }),
        }
    }

    /// The symbols one subscriber asks for: neighbours, wrapping around; 0 is all of them.
    pub(crate) fn symbols_of(&self, subscriber: usize, count: usize) -> Vec<usize> {
        let all = self.topics.len();
        match count {
            0 => (0..all).collect(),
            count => (0..count.min(all)).map(|nth| (subscriber * count + nth) % all).collect(),
        }
    }
}

fn is_heading(line: &str) -> bool {
    line.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("time"))
}

fn parse_line(line: &str) -> Option<(&str, Tick)> {
    let mut fields = line.split(',').map(str::trim);
    let time_ns = fields.next()?.parse().ok()?;
    let symbol = fields.next().filter(|symbol| !symbol.is_empty())?;
    let bid = parse_price(fields.next()?)?;
    let ask = parse_price(fields.next()?)?;
    let size = fields.next()?.parse().ok()?;
    let tick = Tick { time_ns, symbol: 0, bid, ask, size };
    fields.next().is_none().then_some((symbol, tick))
}

fn parse_price(field: &str) -> Option<f64> {
    field.parse().ok().filter(|price: &f64| price.is_finite())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const ROWS: usize = 2_000;
    const SYMBOLS: usize = 50;

    /// A random walk with a fixed seed: xorshift64*.
    fn sample() -> String {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut draw = move |below: u64| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
        };
        let name = |index: usize| {
            let letter = |n: usize| char::from(b'A' + (n % 26) as u8);
            format!("{}{}{}", letter(index * 7), letter(index * 11 + 3), letter(index / 2))
        };
        let mut cents: Vec<u64> = (0..SYMBOLS).map(|_| 1_000 + draw(40_000)).collect();
        let mut time = 34_200_000_000_000_u64;
        let mut text = String::from("time,symbol,bid,ask,size\n");
        for _ in 0..ROWS {
            time += 1_000 + draw(200_000);
            // Two draws, the smaller wins: some symbols trade more than others.
            let symbol = draw(SYMBOLS as u64).min(draw(SYMBOLS as u64)) as usize;
            cents[symbol] = (cents[symbol] + draw(5)).saturating_sub(2).max(100);
            let (bid, spread, size) = (cents[symbol], 1 + draw(3), 100 * (1 + draw(20)));
            let ask = bid + spread;
            writeln!(
                text,
                "{time},{},{}.{:02},{}.{:02},{size}",
                name(symbol),
                bid / 100,
                bid % 100,
                ask / 100,
                ask % 100,
            )
            .unwrap();
        }
        text
    }

    #[test]
    fn the_shipped_sample_is_what_the_walk_makes() {
        assert_eq!(SAMPLE, sample());
    }

    #[test]
    #[ignore = "writes ticks/sample.csv"]
    fn write_sample() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/ticks/sample.csv"), sample()).unwrap();
    }

    #[test]
    fn the_sample_parses() {
        let ticks = Ticks::load(None).unwrap();
        assert_eq!((ticks.ticks.len(), ticks.topics.len()), (ROWS, SYMBOLS));
        assert!(ticks.ticks.iter().all(|tick| tick.ask > tick.bid));
        assert!(ticks.ticks.windows(2).all(|pair| pair[0].time_ns < pair[1].time_ns));
    }

    #[test]
    fn a_bad_line_is_named() {
        for line in [
            "2,B,x,3,4",
            "2,B,2,3",
            "2,B,2,3,4,5",
            "2,B,2,3,4,",
            "2,,2,3,4",
            "2,B,nan,3,4",
            "2,B,2,inf,4",
            "2,B,2,1e999,4",
            "2,B,2,3,-4",
            "time,symbol,bid,ask,size",
        ] {
            let text = format!("time,symbol,bid,ask,size\n1,A,2,3,4\n{line}\n");
            let error = Ticks::parse("x.csv", &text).err().expect(line).to_string();
            assert!(error.contains("x.csv, line 3"), "{error}");
        }
    }

    #[test]
    fn a_mark_and_a_heading_of_any_case_are_skipped() {
        for before in ["", "\u{FEFF}", "Time,Symbol,Bid,Ask,Size\r\n", "\u{FEFF} TIME,SYMBOL\n"] {
            let ticks = Ticks::parse("x.csv", &format!("{before}1,A,2.5,3,4\r\n")).unwrap().ticks;
            assert_eq!(ticks, [Tick { time_ns: 1, symbol: 0, bid: 2.5, ask: 3.0, size: 4 }]);
        }
    }

    #[test]
    fn a_topic_begins_no_other() {
        let symbols = ["GOOGL", "GOOG", "F", "FOX", "A", "AB"];
        let text: String = symbols.iter().map(|symbol| format!("1,{symbol},2,3,4\n")).collect();
        let topics = Ticks::parse("x.csv", &text).unwrap().topics;
        assert_eq!(topics.len(), symbols.len());
        for topic in &topics {
            let begun = topics.iter().filter(|other| other.starts_with(topic));
            assert_eq!(begun.collect::<Vec<_>>(), [topic]);
        }
    }

    #[test]
    fn symbols_wrap_around_and_zero_is_all() {
        let ticks = Ticks::load(None).unwrap();
        assert_eq!(ticks.symbols_of(4, 12), (48..50).chain(0..10).collect::<Vec<_>>());
        assert_eq!(ticks.symbols_of(4, 0).len(), SYMBOLS);
    }
}
