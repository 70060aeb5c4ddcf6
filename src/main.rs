//! Parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use glowworm::commands::{Cli, CommandError, run};

/// `glowworm … | head` ends quietly once nobody reads on, as other programs do; `println!` would call it a panic.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to std") && text.contains("Broken pipe")) {
            // What a shell reports of a program that SIGPIPE ended.
            std::process::exit(141);
        }
        report(panic);
    }));
}

#[expect(unsafe_code, reason = "the environment is set before any thread runs")]
fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
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
