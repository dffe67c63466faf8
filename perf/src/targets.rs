//! `perf targets`: measures every row to reach, one after another, and writes Markdown.
//!
//! The text holds a table of rows with ratio, reach and verdict, and behind it the whole table of
//! each command, so that `docs/PERFORMANCE.md` is generated and no number is typed.
//!
//! Deliberately absent: leaving out what was lost.

mod rows;

use std::fmt::Write as _;
use std::process::ExitCode;

use self::rows::{Check, Figure, Reach};
use crate::cli::{Cli, TargetOptions};
use crate::coordinator;
use crate::cores::Cores;
use crate::error::{Error, Result};
use crate::file;
use crate::machine;
use crate::report::{self, Row, short};

/// Rows by the command that measured them.
type Measured = Vec<(String, Vec<Row>)>;

/// What the written text stands below, in a file that has it.
const HEADING: &str = "## The run\n\n";

/// Measures, and writes the text to the file asked for, behind what stands there before
/// [`HEADING`], or prints it.
pub(crate) fn run(options: &TargetOptions) -> Result<ExitCode> {
    let mut checks = rows::all();
    let is_there = |row: &&u8| checks.iter().any(|check| check.row == **row);
    if let Some(row) = options.rows.iter().find(|row| !is_there(row)) {
        return Err(Error::Usage(format!("--rows {row}: no such row is measured here")));
    }
    checks.retain(|check| options.rows.is_empty() || options.rows.contains(&check.row));
    checks.sort_by_key(|check| check.row);
    if let Some(path) = &options.markdown {
        file::prepare(path)?;
    }
    let mut measured = Measured::new();
    for group in groups(&checks) {
        measured.extend(measure(&group, options.runs)?);
    }
    let text = markdown(&checks, &measured, &Cores::choose(None)?);
    match &options.markdown {
        Some(path) => {
            let known = std::fs::read_to_string(path).unwrap_or_default();
            let above = known.split_once(HEADING).map_or("", |(above, _)| above);
            file::write(path, &format!("{above}{HEADING}{text}"))?;
        }
        None => println!("{text}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands of these checks, each once. Those whose figures are compared are in one group.
fn groups(checks: &[Check]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    for check in checks {
        let commands = check.figures().map(|figure| &figure.command);
        let is_known =
            |group: &Vec<String>| commands.clone().any(|command| group.contains(command));
        let index = groups.iter().position(is_known).unwrap_or_else(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        for command in commands {
            if !groups[index].contains(command) {
                groups[index].push(command.clone());
            }
        }
    }
    groups
}

/// Run 1 of every command comes before run 2 of any, as with the sides of one command.
fn measure(commands: &[String], runs: usize) -> Result<Measured> {
    let mut measured: Measured =
        commands.iter().map(|command| (command.clone(), Vec::new())).collect();
    let turns = if commands.len() > 1 { runs } else { 1 };
    for turn in 1..=turns {
        for (command, rows) in &mut measured {
            eprintln!("perf {command}: turn {turn} of {turns}");
            let words = ["perf"].into_iter().chain(command.split_whitespace());
            let parsed = Cli::read(words).map_err(|error| Error::Usage(error.to_string()))?;
            Row::add(rows, coordinator::measure(&parsed.command, runs / turns)?);
        }
    }
    Ok(measured)
}

fn markdown(checks: &[Check], measured: &Measured, cores: &Cores) -> String {
    let all: Vec<_> = measured.iter().flat_map(|(_, rows)| rows.iter().cloned()).collect();
    let mut text = format!("```text\n{}```\n\n", machine::heading(cores, &all));
    text.push_str("| # | work | side | measured | against | ratio | reach | |\n");
    text.push_str("|--:|------|------|---------:|---------|------:|------:|---|\n");
    let lines: Vec<_> = checks.iter().map(|check| line(check, measured)).collect();
    let won = lines.iter().filter(|line| line.ends_with(WON)).count();
    for line in &lines {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "\n{won} of these {} lines are won.", lines.len());
    for (command, rows) in measured {
        let table = report::table(rows);
        let _ = write!(text, "\n`cargo run --release -p perf -- {command}`\n\n{table}\n");
        for row in rows {
            if let Some(failure) = &row.failure {
                let _ = writeln!(text, "\n{} failed: {failure}", row.who.name());
            }
        }
    }
    text
}

/// How a line ends whose reach was met.
const WON: &str = "| won |";

/// One row of the first table.
fn line(check: &Check, measured: &Measured) -> String {
    let figure = find(&check.figure, measured);
    let against = check.against.as_ref().map(|against| (against, find(against, measured)));
    let ratio = match (figure, against) {
        (Some(figure), None) => Some(figure),
        (Some(figure), Some((_, Some(against)))) if against > 0.0 => Some(figure / against),
        _ => None,
    };
    let verdict = match ratio {
        None => "no result",
        Some(ratio) if check.reach.is_met_by(ratio) => "won",
        Some(_) => "**lost**",
    };
    let against = against.map_or_else(String::new, |(against, value)| {
        let own = if against.command == check.figure.command { "" } else { " without" };
        format!("{}{own} {}", against.who.name(), number(value))
    });
    let sign = if check.against.is_some() { " ×" } else { "" };
    let reach = match check.reach {
        Reach::AtLeast(bound) => format!("≥ {bound}{sign}"),
        Reach::AtMost(bound) => format!("≤ {bound}{sign}"),
    };
    let ratio = if check.against.is_some() { number(ratio) } else { String::new() };
    format!(
        "| {} | {} | {} | {} | {against} | {ratio} | {reach} | {verdict} |",
        check.row,
        check.work,
        check.figure.who.name(),
        number(figure),
    )
}

fn find(figure: &Figure, measured: &Measured) -> Option<f64> {
    let (_, rows) = measured.iter().find(|(command, _)| *command == figure.command)?;
    let row = rows.iter().find(|row| row.who == figure.who && row.failure.is_none())?;
    figure.metric.of(row)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_runs_once_and_takes_turns_with_those_it_is_compared_with() {
        let checks = rows::all();
        let groups = groups(&checks);
        for check in &checks {
            let mut holders = check.figures().map(|figure| {
                let holds = |group: &&Vec<String>| group.contains(&figure.command);
                assert_eq!(groups.iter().filter(holds).count(), 1, "{}", figure.command);
                groups.iter().position(|group| group.contains(&figure.command))
            });
            let first = holders.next();
            assert!(holders.all(|holder| Some(holder) == first), "{}", check.work);
        }
    }
}
