//! What the figures come from: the machine, the versions of the programs, the day.

use std::{path::Path, process::Command};

use envoy_local::workspace_root;
use time::OffsetDateTime;

use crate::{
    process::Cores,
    subject::{collector_program, rotel_program},
};

/// What stands above the tables.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Each a name and what was found; `unknown` if the machine does not say.
    pub lines: Vec<(&'static str, String)>,
}

impl Machine {
    /// Looks.
    #[must_use]
    pub fn look(cores: &Cores) -> Self {
        let cpu = first_line_with("/proc/cpuinfo", "model name");
        let memory = first_line_with("/proc/meminfo", "MemTotal");
        let gibibytes = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 20;
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let revision = said(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]));
        let clean = Command::new("git")
            .args([
                "diff",
                "--quiet",
                "HEAD",
                "--",
                "filters",
                "envoy-local",
                "tests/bench",
                "tests/telemetry",
            ])
            .current_dir(workspace_root())
            .status()
            .is_ok_and(|status| status.success());
        let module = std::fs::metadata(workspace_root().join("dist/sluice.wasm"));
        let module = module.map_or(0, |file| file.len() >> 10);
        let envoy = said(&mut Command::new(workspace_root().join("envoy-local/fetch-envoy.sh")));
        let version = |program: &Path, argument| said(Command::new(program).arg(argument));
        let envoy = version(Path::new(&envoy), "--version");
        let build = envoy.split_once("version: ").map_or("", |(_, build)| build);
        let envoy = build.split('/').nth(1).unwrap_or("unknown").to_owned();
        let date = OffsetDateTime::now_utc().date();
        Self {
            lines: vec![
                ("CPU", cpu),
                (
                    "cores",
                    format!(
                        "{}{}",
                        cores.count(),
                        if cores.apart(1) {
                            ", one of them for the program under test and the others for the load and the backend"
                        } else {
                            ": the program under test shares it with the load, so latencies and requests a second say little"
                        }
                    ),
                ),
                ("memory", format!("{gibibytes} GiB")),
                ("kernel", kernel.trim().split('-').next().unwrap_or_default().to_owned()),
                ("Envoy", envoy),
                ("Collector", last_word(&version(&collector_program(), "--version"))),
                ("Rotel", last_word(&version(&rotel_program(), "version"))),
                ("module", format!("{module} KiB")),
                ("commit", format!("{revision}{}", if clean { "" } else { ", with changes" })),
                ("date", date.to_string()),
            ],
        }
    }
}

fn last_word(text: &str) -> String {
    text.split_whitespace().last().unwrap_or("unknown").to_owned()
}

fn first_line_with(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or_else(|| "unknown".into(), |(_, value)| value.trim().to_owned())
}

/// What a program prints, in the workspace's folder.
fn said(command: &mut Command) -> String {
    let output = command.current_dir(workspace_root()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".into())
}
