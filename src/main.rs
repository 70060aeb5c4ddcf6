//! Parses the command line, runs the command, and turns its result into an exit code.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use glowworm::commands::{Cli, CommandError, run};
use glowworm::names::printable;

/// Faults of the program itself are said in a line; what `RUST_BACKTRACE` asks for comes besides.
fn report_faults_in_a_line() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("of unknown kind");
        let say = |line: String| _ = writeln!(std::io::stderr(), "error: {}", printable(&line));
        // `glowworm … | head` ends quietly once nobody reads on, as other programs do; `println!` would call it a panic.
        if text.starts_with("failed printing to std") {
            if !text.contains("Broken pipe") {
                say(text.to_owned());
                std::process::exit(1);
            }
            // What a shell reports of a program that SIGPIPE ended.
            std::process::exit(141);
        }
        if std::thread::current().name() == Some(glowworm::model::COMPILING_AHEAD) {
            return;
        }
        // wgpu's word for a lost device, which is caught where it is waited for.
        if text.starts_with("Error in Device::poll") {
            return;
        }
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        say(format!("this is a fault of glowworm's own, please report it: {text}{place}"));
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            report(panic);
        }
    }));
}

/// Mesa's layer that picks a default adapter prints an error wherever there is no desktop session; adapters are ranked by
/// `gpu` instead. The layer asks the environment, so the program takes its own place once more, with another environment.
#[cfg(target_os = "linux")]
fn leave_out_mesas_device_selection() {
    use std::os::unix::process::CommandExt;
    const ASKED: &str = "NODEVICE_SELECT";
    let mut arguments = std::env::args_os();
    if let (None, Ok(program), Some(name)) = (std::env::var_os(ASKED), std::env::current_exe(), arguments.next()) {
        // It returns only if it failed; then there is a line too many.
        let _ = std::process::Command::new(program).arg0(name).args(arguments).env(ASKED, "1").exec();
    }
}

fn main() -> ExitCode {
    report_faults_in_a_line();
    #[cfg(target_os = "linux")]
    leave_out_mesas_device_selection();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // As a shell reports a program that Ctrl-C ended.
        Err(CommandError::Stopped) => ExitCode::from(130),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", printable(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}
