//! What has to be there before anything is built or run.
//!
//! Where this process is root and `CI=true`, what can be installed is installed. Otherwise the
//! command that would do so is named, and nothing is touched.
//!
//! Deliberately absent: versions. What is too old says so itself, the kernel by the engine's error.

use zring_engine::{Config, Reactor};

use crate::Failure;
use crate::command::Command;

/// A C++ compiler, for the libzmq that is built beside us.
pub(crate) fn for_building() -> Result<(), Failure> {
    if Command::new("c++ --version").ask().is_none() {
        install("a C++ compiler", "apt-get install --yes g++")?;
    }
    Ok(())
}

/// The parts of the toolchain that judge sources.
pub(crate) fn for_judging() -> Result<(), Failure> {
    for (component, question) in
        [("rustfmt", "cargo fmt --version"), ("clippy", "cargo clippy --version")]
    {
        if Command::new(question).ask().is_none() {
            install(component, &format!("rustup component add {component}"))?;
        }
    }
    Ok(())
}

/// A kernel that lets us have a ring. If not, the engine says what stands in the way.
pub(crate) fn for_running() -> Result<(), Failure> {
    Reactor::new(&Config::default()).map(drop).map_err(|error| error.to_string())
}

/// Runs `line` where we may, and names it where we may not.
fn install(what: &str, line: &str) -> Result<(), Failure> {
    if !may_install() {
        return Err(format!("{what} is missing. Install it: {line}"));
    }
    if line.starts_with("apt-get") {
        Command::new("apt-get update").run()?;
    }
    Command::new(line).env("DEBIAN_FRONTEND", "noninteractive").run()
}

/// Nobody minds what root installs on a machine that exists for one run.
fn may_install() -> bool {
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    is_ci && Command::new("id --user").ask().is_some_and(|user| user == "0")
}

/// The nightly toolchain with `component`; `None` asks for the toolchain alone.
pub(crate) fn for_nightly(component: Option<&str>) -> Result<(), Failure> {
    if Command::new("rustup run nightly rustc --version").ask().is_none() {
        install("the nightly toolchain", "rustup toolchain install nightly --profile minimal")?;
    }
    let Some(component) = component else { return Ok(()) };
    let installed = Command::new("rustup component list --toolchain nightly --installed").ask();
    if installed.is_some_and(|list| list.lines().any(|line| line.starts_with(component))) {
        return Ok(());
    }
    let line = format!("rustup component add --toolchain nightly {component}");
    install(&format!("`{component}` of the nightly toolchain"), &line)
}

/// What builds and runs fuzz targets.
pub(crate) fn for_fuzzing() -> Result<(), Failure> {
    for_nightly(None)?;
    if Command::new("cargo fuzz --version").ask().is_none() {
        install("cargo-fuzz", "cargo install cargo-fuzz --locked")?;
    }
    Ok(())
}
