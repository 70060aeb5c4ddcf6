//! Parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use glowworm::commands::{Cli, CommandError, run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // As a shell reports a program that Ctrl-C ended.
        Err(CommandError::Stopped) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
