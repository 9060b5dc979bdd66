//! Starts what the plan names, measures it in turns, and ends it.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, ensure};
use envoy_local::{Pki, SenderFiles, SenderName};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    load::{Identity, Senders, Target, per_mille},
    payload::{Encoding, Payload, Protocol, rejected},
    plan::{LatencyRow, Plan, Row},
    process::{Cores, Memory, Watch},
    sink::Sink,
    subject::{Setup, Subject, Variant},
};

/// The figures of one program in one row.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// CPU time a request, in microseconds; one for each round.
    pub us: Vec<f64>,
    /// Requests a second that were answered; one for each round.
    pub per_second: Vec<f64>,
    /// Resident memory right after the last round, in bytes.
    pub resident: u64,
}

/// A measured row.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The row.
    pub row: Row,
    /// The length of a body as it was sent, in bytes.
    pub body: usize,
    /// The length of the message in it.
    pub message: usize,
    /// Different certificates that were shown, for rows where connections are closed.
    pub certificates: usize,
    /// A cell for each of the row's programs, in their order.
    pub cells: Vec<Cell>,
}

/// Latencies at a rate, one for each round.
#[derive(Clone, Debug, Default)]
pub struct Percentiles {
    /// Half of the requests were answered in this time.
    pub p50: Vec<Duration>,
    /// 99 of 100.
    pub p99: Vec<Duration>,
    /// 999 of 1,000.
    pub p999: Vec<Duration>,
}

/// A measured row of latencies.
#[derive(Clone, Debug)]
pub struct Latency {
    /// The row.
    pub row: LatencyRow,
    /// Requests a second, for both.
    pub rate: f64,
    /// Whether requests that were due waited for more than a twentieth of the time at its end: then the load is more
    /// than one of the two, or the load's own core, can take, and the percentiles depend on how long it lasts.
    pub fell_behind: bool,
    /// Envoy without the gate.
    pub bare: Percentiles,
    /// Envoy with it.
    pub gate: Percentiles,
}

/// The memory of a program that has just been started.
#[derive(Clone, Copy, Debug)]
pub struct MemoryRow {
    /// The program.
    pub setup: Setup,
    /// How long it took to start.
    pub ready_after: Duration,
    /// Before its first request.
    pub idle: Memory,
    /// After load on four connections.
    pub load: Memory,
    /// During and after large bodies on many connections.
    pub burst: Memory,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    /// CPU time.
    pub rows: Vec<Measured>,
    /// Latencies.
    pub latencies: Vec<Latency>,
    /// Memory.
    pub memory: Vec<MemoryRow>,
    /// How many cores were busy with something else, on average over each measurement.
    pub others: Vec<f64>,
    /// The rows that could not be measured, each with the reason.
    pub failed: Vec<(String, String)>,
    /// How long it all took.
    pub took: Duration,
}

/// The load that is sent to the programs under test, and what it needs.
struct Bench {
    plan: Plan,
    cores: Cores,
    folder: PathBuf,
    pki: Pki,
    sink: Sink,
    one: Senders,
    many: BTreeMap<usize, Senders>,
    subjects: BTreeMap<Setup, Subject>,
    results: Results,
    from: Instant,
    /// How long everything takes, about, to say what remains.
    takes: Duration,
}

/// Measures what the plan names. `folder` is for configurations, logs and certificates, and is removed at the end.
///
/// # Errors
/// If the load cannot be made. What cannot be measured is in [`Results::failed`], after a second try. Nothing keeps
/// running.
pub async fn run(plan: Plan, cores: Cores, folder: &Path) -> Result<Results> {
    let certificates = folder.join("tls");
    std::fs::create_dir_all(&certificates)?;
    let pki = Pki::create(&certificates)?;
    let roots = roots(&pki)?;
    let one = Senders::new(roots, vec![identity(pki.sender(SenderName::Payments))?]);
    let takes = plan.takes();
    let mut bench = Bench {
        plan,
        cores,
        folder: folder.to_owned(),
        pki,
        sink: Sink::start().await?,
        one,
        many: BTreeMap::new(),
        subjects: BTreeMap::new(),
        results: Results::default(),
        from: Instant::now(),
        takes,
    };
    let measured = bench.measure().await;
    // Also after an error: in order, and not by dropping them.
    while let Some((_, subject)) = bench.subjects.pop_first() {
        subject.stop().await?;
    }
    let _ = std::fs::remove_dir_all(folder);
    measured?;
    bench.results.took = bench.from.elapsed();
    Ok(bench.results)
}

impl Bench {
    async fn measure(&mut self) -> Result<()> {
        for setup in self.plan.memory.clone() {
            let name = format!("memory, {}", setup.name());
            self.say(&name);
            let measured = match self.memory(setup).await {
                Err(error) => {
                    self.again(&name, &error).await?;
                    self.memory(setup).await
                }
                measured => measured,
            };
            match measured {
                Ok(measured) => self.results.memory.push(measured),
                Err(error) => self.give_up(name, &error),
            }
        }
        let rows = self.plan.rows.clone();
        for (index, row) in rows.iter().enumerate() {
            let measured = match self.row(row).await {
                Err(error) => {
                    self.again(&row.name, &error).await?;
                    self.row(row).await
                }
                measured => measured,
            };
            match measured {
                Ok(measured) => self.results.rows.push(measured),
                Err(error) => self.give_up(row.name.clone(), &error),
            }
            // What no later row needs is ended now.
            let later = rows[index + 1..].iter().flat_map(|row| row.setups.clone());
            let needed: Vec<_> = later.chain(self.plan.latencies_need()).collect();
            self.keep(|setup| needed.contains(setup)).await?;
        }
        for row in self.plan.latencies.clone() {
            let measured = match self.latency(&row).await {
                Err(error) => {
                    self.again(&row.name, &error).await?;
                    self.latency(&row).await
                }
                measured => measured,
            };
            match measured {
                Ok(measured) => self.results.latencies.push(measured),
                Err(error) => self.give_up(row.name, &error),
            }
        }
        Ok(())
    }

    /// Before a row is measured again: with programs that have just been started, because one of them may have ended.
    async fn again(&mut self, name: &str, error: &Error) -> Result<()> {
        self.say(&format!("{name}: {error:#}; once more"));
        eprintln!();
        self.keep(|_| false).await
    }

    /// The other rows are measured nevertheless.
    fn give_up(&mut self, name: String, error: &Error) {
        self.say(&format!("{name}: {error:#}; not measured"));
        eprintln!();
        self.results.failed.push((name, format!("{error:#}")));
    }

    async fn keep(&mut self, wanted: impl Fn(&Setup) -> bool) -> Result<()> {
        let ended: Vec<_> = self.subjects.keys().filter(|setup| !wanted(setup)).copied().collect();
        for setup in ended {
            if let Some(subject) = self.subjects.remove(&setup) {
                subject.stop().await?;
            }
        }
        Ok(())
    }

    /// One line on a terminal that is written over, or one line for each elsewhere.
    fn say(&self, what: &str) {
        let (gone, takes) = (self.from.elapsed().as_secs(), self.takes.as_secs());
        let line = format!(
            "[{:2}:{:02} of about {}:{:02}] {what}",
            gone / 60,
            gone % 60,
            takes / 60,
            takes % 60
        );
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }

    async fn started(&mut self, setup: Setup) -> Result<()> {
        if !self.subjects.contains_key(&setup) {
            let subject = Subject::start(setup, &self.pki, &self.sink, &self.folder).await?;
            subject.process.pin(&self.cores.under_test(setup.workers))?;
            self.subjects.insert(setup, subject);
        }
        Ok(())
    }

    fn target(
        &mut self,
        setup: Setup,
        payload: Payload,
        protocol: Protocol,
        senders: usize,
    ) -> Result<Target> {
        let subject = self.subjects.get(&setup).context("it has not been started")?;
        let address = if protocol == Protocol::Grpc { subject.grpc } else { subject.http };
        let senders = match senders {
            _ if !setup.tls => None,
            1 => Some(self.one.clone()),
            many => Some(self.many(many)?),
        };
        Ok(Target { address, senders, request: Arc::new(payload.prepare(protocol)?) })
    }

    /// So many senders, which the shipped allowlist allows. They are made once for the run.
    fn many(&mut self, count: usize) -> Result<Senders> {
        if !self.many.contains_key(&count) {
            self.say(&format!("makes {count} certificates"));
            let identities = (0..count).map(|number| {
                let id = format!("spiffe://prod.example/ns/team-{number:05}/sa/otel-collector");
                identity(&self.pki.issue(&format!("team-{number:05}"), &[], &[id])?)
            });
            let identities = identities.collect::<Result<_>>()?;
            self.many.insert(count, Senders::new(roots(&self.pki)?, identities));
        }
        Ok(self.many.get(&count).context("they have just been made")?.clone())
    }

    async fn row(&mut self, row: &Row) -> Result<Measured> {
        let effort = self.plan.effort;
        let request = row.payload.prepare(row.protocol)?;
        let mut targets = Vec::new();
        for &setup in &row.setups {
            self.started(setup).await?;
            let target = self.target(setup, row.payload, row.protocol, row.senders)?;
            self.check(setup, &target).await.with_context(|| setup.name())?;
            targets.push(target);
        }
        let mut cells = vec![Cell::default(); row.setups.len()];
        for round in 0..effort.rounds {
            for ((&setup, target), cell) in row.setups.iter().zip(&targets).zip(&mut cells) {
                self.say(&format!(
                    "{}: {} ({}/{})",
                    row.name,
                    setup.name(),
                    round + 1,
                    effort.rounds
                ));
                let load = |time| target.closed(row.connections, row.per_connection, time);
                if round == 0 && !effort.warm.is_zero() {
                    load(effort.warm).await.with_context(|| setup.name())?;
                }
                let subject = self.subjects.get(&setup).context("it has been started")?;
                let watch = Watch::start(subject.process)?;
                let sent = load(row.slice(effort)).await.with_context(|| setup.name())?;
                let seen = watch.end()?;
                let requests = sent.latencies.len() as f64;
                cell.us.push(seen.cpu.as_secs_f64() * 1e6 / requests.max(1.0));
                cell.per_second.push(requests / seen.wall.as_secs_f64());
                cell.resident = subject.process.memory()?.resident;
                subject.empty_log()?;
                self.results.others.push(seen.others);
            }
        }
        let certificates = self.many.get(&row.senders).map_or(1, Senders::used);
        Ok(Measured {
            row: row.clone(),
            body: request.body.len(),
            message: request.message,
            certificates,
            cells,
        })
    }

    /// One request, whose reply must say as many dropped records as there are: otherwise a column would measure
    /// something else than it says.
    async fn check(&self, setup: Setup, target: &Target) -> Result<()> {
        let before = self.sink.bytes();
        let reply = target.once().await?;
        let expected = if setup.variant.tells_of_drops() { target.request.dropped } else { 0 };
        let said = rejected(target.request.signal, &reply.message)?;
        ensure!(
            said == expected,
            "the reply says {said} dropped records, and {expected} were expected"
        );
        // Rotel answers before it forwards.
        if setup.variant != Variant::Rotel {
            ensure!(self.sink.bytes() > before, "nothing came to the backend");
        }
        Ok(())
    }

    async fn latency(&mut self, row: &LatencyRow) -> Result<Latency> {
        let effort = self.plan.effort;
        let setups =
            [Variant::Bare, Variant::Gate].map(|variant| Setup::new(variant, row.payload.encoding));
        let mut targets = Vec::new();
        for setup in setups {
            self.started(setup).await?;
            targets.push(self.target(setup, row.payload, Protocol::Http1, 1)?);
        }
        // What the gate can take is what its core can: the load may end at its own core before.
        self.say(&format!("{}: capacity", row.name));
        let subject = &self.subjects[&setups[1]];
        targets[1].closed(4, None, effort.warm).await?;
        let watch = Watch::start(subject.process)?;
        let sent = targets[1].closed(4, None, effort.slice).await?;
        let seen = watch.end()?;
        let capacity = sent.latencies.len() as f64 / seen.cpu.as_secs_f64().max(1e-3);
        let rate = capacity * row.load;
        let mut both = [Percentiles::default(), Percentiles::default()];
        let mut fell_behind = false;
        for round in 0..effort.rounds {
            for ((setup, target), percentiles) in setups.iter().zip(&targets).zip(&mut both) {
                self.say(&format!(
                    "{}: {} ({}/{})",
                    row.name,
                    setup.name(),
                    round + 1,
                    effort.rounds
                ));
                if round == 0 && !effort.warm.is_zero() {
                    target.open(rate, OPEN, effort.warm).await?;
                }
                let watch = Watch::start(self.subjects[setup].process)?;
                let sent = target.open(rate, OPEN, effort.long).await?;
                let seen = watch.end()?;
                self.results.others.push(seen.others);
                fell_behind |= seen.wall > effort.long.mul_f64(1.05);
                let mut latencies = sent.latencies;
                latencies.sort_unstable();
                percentiles.p50.push(per_mille(&latencies, 500));
                percentiles.p99.push(per_mille(&latencies, 990));
                percentiles.p999.push(per_mille(&latencies, 999));
                self.subjects[setup].empty_log()?;
            }
        }
        let [bare, gate] = both;
        Ok(Latency { row: row.clone(), rate, fell_behind, bare, gate })
    }

    async fn memory(&mut self, setup: Setup) -> Result<MemoryRow> {
        let effort = self.plan.effort;
        self.keep(|_| false).await?;
        self.started(setup).await?;
        let (process, ready_after) = {
            let subject = &self.subjects[&setup];
            (subject.process, subject.ready_after)
        };
        tokio::time::sleep(effort.settle).await;
        let idle = process.memory()?;
        let load = self.target(setup, Payload::logs(1_000), Protocol::Http1, 1)?;
        load.closed(4, None, effort.long).await?;
        tokio::time::sleep(effort.settle).await;
        let loaded = process.memory()?;
        process.forget_peak()?;
        let large = Payload::logs(10_000).encoded(Encoding::Gzip);
        let burst = self.target(setup, large, Protocol::Http1, 1)?;
        burst.closed(BURST, None, effort.long).await?;
        tokio::time::sleep(effort.settle).await;
        let burst = process.memory()?;
        self.keep(|_| false).await?;
        Ok(MemoryRow { setup, ready_after, idle, load: loaded, burst })
    }
}

impl Plan {
    /// The programs whose latencies are measured.
    fn latencies_need(&self) -> Vec<Setup> {
        let encodings = self.latencies.iter().map(|row| row.payload.encoding);
        let variants = [Variant::Bare, Variant::Gate];
        encodings.flat_map(|encoding| variants.map(|of| Setup::new(of, encoding))).collect()
    }
}

/// Connections of the open loop: more than are ever busy, unless the program under test falls behind.
const OPEN: usize = 32;

/// Connections of the burst.
const BURST: usize = 64;

fn roots(pki: &Pki) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.ca_pem())?)?;
    Ok(roots)
}

fn identity(files: &SenderFiles) -> Result<Identity> {
    Ok(Identity {
        certificate: CertificateDer::from_pem_file(&files.cert)?,
        key: PrivateKeyDer::from_pem_file(&files.key)?,
    })
}
