//! Parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use glowworm::commands::{Cli, CommandError, run};

fn main() -> ExitCode {
    // Mesa's layer that picks a default adapter prints an error wherever there is no desktop session; adapters are ranked
    // by `gpu` instead.
    // SAFETY: no other thread runs yet, so none reads the environment.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
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
