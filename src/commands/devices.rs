//! `glowworm devices`: the adapters, the one that would be chosen first.

use clap::Args;

use super::CommandError;
use crate::gpu::{Gpu, adapters};

/// Options of `devices`.
#[derive(Args)]
pub struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the adapters.
///
/// # Errors
/// [`CommandError::Gpu`] when there is none.
pub fn run(args: &DevicesArgs) -> Result<(), CommandError> {
    let all = adapters();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
    }
    if all.is_empty() {
        // Opening gives the error that says what to install.
        Gpu::open(None)?;
    }
    if args.json {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    for (index, adapter) in all.iter().enumerate() {
        println!("{}{}", adapter.name, if index == 0 { "   (the default)" } else { "" });
        println!("    {}, {}, driver {}", adapter.kind, adapter.backend, adapter.driver);
        println!(
            "    one binding {}, one buffer {}, workgroup memory {} KiB, subgroups of {} to {}",
            mib(adapter.max_binding_bytes),
            mib(adapter.max_buffer_bytes),
            adapter.workgroup_bytes >> 10,
            adapter.subgroup.0,
            adapter.subgroup.1,
        );
    }
    Ok(())
}
