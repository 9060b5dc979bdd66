//! Reads a policy from a file.

use std::{fs, io::Read, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use sluice_gate::Gate;

use crate::{find, located};

/// A text and where it is from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path, or `<stdin>`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A policy that the gate accepts.
#[derive(Debug)]
pub struct Policy {
    /// The file and what holds the policy in it.
    pub name: String,
    /// The policy as JSON.
    pub json: Json,
    /// The gate.
    pub gate: Gate,
}

impl Source {
    /// Reads a file; `-` is the standard input.
    ///
    /// # Errors
    /// If it cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self> {
        let (name, bytes) = read_bytes(path)?;
        let text = String::from_utf8(bytes).with_context(|| format!("{name}: not UTF-8"))?;
        Ok(Self { name, text })
    }
}

/// Reads a file; `-` is the standard input. Also returns its name.
///
/// # Errors
/// If it cannot be read.
pub fn read_bytes(path: &Path) -> Result<(String, Vec<u8>)> {
    if path.as_os_str() != "-" {
        let name = path.display().to_string();
        let bytes = fs::read(path).with_context(|| name.clone())?;
        return Ok((name, bytes));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("<stdin>")?;
    Ok(("<stdin>".to_owned(), bytes))
}

impl Policy {
    /// Reads the policy in a file: the file itself, or the one plugin configuration in it.
    ///
    /// # Errors
    /// If it cannot be read, has no policy or several, or one that the gate refuses.
    pub fn read(path: &Path) -> Result<Self> {
        let Source { name, text } = Source::read(path)?;
        let refused = |problems: String| {
            format!("{name}: {problems}\nsluice check {name} shows each problem in its line")
        };
        let documents = located::documents(&text).map_err(|faults| {
            let faults: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
            anyhow::anyhow!(refused(faults.join("; ")))
        })?;
        let (mut found, faults) = find::policies(&text, &documents);
        if let Some(fault) = faults.first() {
            bail!(refused(fault.message.clone()));
        }
        let found = match found.len() {
            0 => bail!("{name}: there is no policy in it"),
            1 => found.remove(0),
            several => {
                let holders: Vec<_> = found
                    .iter()
                    .map(|found| found.holder.as_deref().unwrap_or("a document"))
                    .collect();
                let holders = holders.join(", ");
                bail!("{name}: {several} policies ({holders}); give a file with one")
            }
        };
        let json = found.policy.json();
        let gate = Gate::from_json(&serde_json::to_vec(&json)?).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(refused(problems.join("\n  ")))
        })?;
        let name = match found.holder {
            Some(holder) => format!("{name} ({holder})"),
            None => name,
        };
        Ok(Self { name, json, gate })
    }
}
