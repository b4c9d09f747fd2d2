//! The command line, as `--help` teaches it.

mod tune;

use crate::keys::Role;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
pub use tune::{Applicable, ServerArgs, TuneCommand, Wish};

/// An order and inventory engine that never sells a unit twice.
///
/// Without a command it serves: a durable engine on http://127.0.0.1:8080 with its data in ./data.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  holdfast                     serve on 127.0.0.1:8080, data in ./data\n  holdfast verify --data-dir data\n  holdfast serve --ephemeral --listen 127.0.0.1:9000"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API (the default command).
    #[command(
        after_help = "Exit codes:\n  0    told to stop (SIGTERM, SIGINT), and stopped in order\n  1    could not start, or the journal failed: the last line says why\n  2    the command line is not understood\n  130  a second signal, SIGINT, ended it at once\n  143  a second signal, SIGTERM, ended it at once\n\nExample:\n  holdfast serve --data-dir /var/lib/holdfast --listen 127.0.0.1:8080 --shards 2"
    )]
    Serve(ServeArgs),
    /// Replay the journal and check every invariant. Exit code 1 on any violation.
    ///
    /// A data directory must not be in use. Of a backup the checksums of its files are compared first. On a cluster the server should be stopped too: what it writes meanwhile is
    /// seen in part.
    #[command(after_help = "Example:\n  holdfast verify --data-dir data --json\n  holdfast verify --config holdfast.toml")]
    Verify(DataArgs),
    /// Write every event of the journal as JSON lines (CloudEvents 1.0), or the stock as an import takes it.
    #[command(
        after_help = "Example:\n  holdfast export --data-dir data | jq 'select(.type == \"holdfast.order.paid\")'\n  holdfast export --stock --data-dir data > stock.ndjson\n  curl -X POST -H 'Content-Type: application/x-ndjson' --data-binary @stock.ndjson http://127.0.0.1:8080/v1/inventory/imports"
    )]
    Export(ExportArgs),
    /// Copy a data directory that no server uses into a backup, and verify the copy.
    ///
    /// A backup has every fact up to its moment: orders, stock, answers to keys. It is a directory of its own that appears
    /// under its name once it is whole and verified. Of a running server, POST /admin/v1/backups makes one (`backup.dir`).
    #[command(
        after_help = "API keys and the secrets of the sandbox stay out unless --with-secrets says so: whoever has such a backup can sign webhooks.\n\nExample:\n  holdfast backup --data-dir data --to /mnt/backups/monday\n  holdfast verify --data-dir /mnt/backups/monday        look at it again later"
    )]
    Backup(BackupArgs),
    /// Make a data directory of a backup, and verify it.
    ///
    /// The directory must be empty. Everything the tables lack is made again from the log. Numbers of orders go on behind a
    /// gap, so that none which was given out after the backup is given out again: a directory that is copied by hand cannot
    /// do that.
    #[command(
        after_help = "Without --with-secrets a backup has no API keys: make them again under the same names and scopes, before the first start, so that retries of old requests find their orders.\n\nExample:\n  holdfast restore --from /mnt/backups/monday --data-dir data\n  holdfast key new --name storefront --data-dir data\n  holdfast serve --data-dir data"
    )]
    Restore(RestoreArgs),
    /// Look into the data: the journal, its partitions, one order, one SKU.
    #[command(
        after_help = "Example:\n  holdfast inspect journal --data-dir data\n  holdfast inspect order ord_… --data-dir data"
    )]
    Inspect {
        #[command(subcommand)]
        what: Inspect,
    },
    /// Compare the Kafka topic with the journal, or follow it.
    #[cfg(feature = "kafka")]
    #[command(
        after_help = "Example:\n  holdfast kafka verify --data-dir data\n  HOLDFAST__KAFKA__BROKERS=127.0.0.1:9092 holdfast kafka tail --type order.paid"
    )]
    Kafka {
        #[command(subcommand)]
        what: KafkaCommand,
    },
    /// Measure what the engine and its disk take without HTTP, and audit what was written.
    #[command(
        after_help = "Build as a release is (cargo build --profile dist), and give it the disk to be measured.\n\nExample:\n  holdfast bench --dir /var/lib --seconds 10\n  holdfast bench --work pairs --skus 1 --batch 1024"
    )]
    Bench(BenchArgs),
    /// Say how much memory and disk a shop of a size needs.
    #[command(
        after_help = "The figures are those that orders and SKUs were measured to take: docs/performance.md.\n\nExample:\n  holdfast size --orders-per-day 100000 --open 5000 --skus 20000"
    )]
    Size(SizeArgs),
    /// Measure this machine and write the settings that follow, or change those of a running server.
    ///
    /// A change is planned first: the plan says what would be another value and what that does, and changes nothing. Applied, it is written
    /// into the journal with who and why, kept in tuning.toml beside the data, and in force at once.
    #[command(
        after_help = "Example:\n  holdfast tune probe --data-dir /var/lib/holdfast > holdfast.toml\n  holdfast tune show\n  holdfast tune plan engine.credits=65536\n  holdfast tune apply plan_… --note \"for the sale of Friday\"\n  holdfast tune history"
    )]
    Tune {
        #[command(subcommand)]
        what: TuneCommand,
    },
    /// Check settings, or show each with its origin.
    #[command(
        after_help = "Example:\n  holdfast config check --config holdfast.toml\n  holdfast config explain --data-dir /var/lib/holdfast\n  HOLDFAST__ENGINE__SHARDS=2 holdfast config explain"
    )]
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Print what the journal needs of a cluster.
    #[cfg(feature = "scylla")]
    #[command(after_help = "Example:\n  holdfast schema cql --config holdfast.toml | cqlsh")]
    Schema {
        #[command(subcommand)]
        what: SchemaCommand,
    },
    /// Make, list and revoke API keys, and roll the secret of webhooks.
    #[command(
        after_help = "Example:\n  holdfast key new --name storefront --data-dir data\n  holdfast key roll-webhook --data-dir data"
    )]
    Key {
        #[command(subcommand)]
        what: KeyCommand,
    },
    /// Print the OpenAPI 3.1 description.
    #[command(after_help = "Example:\n  holdfast openapi > openapi.json")]
    Openapi,
    /// Ask a running server whether it is ready. Exit code 0 if it is.
    #[command(after_help = "Example:\n  holdfast healthcheck --address 127.0.0.1:8080")]
    Healthcheck {
        /// Host and port of the server.
        #[arg(long, default_value = "127.0.0.1:8080")]
        address: String,
    },
    /// Print shell completions.
    #[command(after_help = "Example:\n  holdfast completions bash > /etc/bash_completion.d/holdfast")]
    Completions {
        /// Whose.
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Settings file; see config/holdfast.toml for every key.
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where journal, snapshots and projections live.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the API.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Threads that host partitions.
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,
    /// Put demo SKUs into new data.
    #[arg(long, conflicts_with = "no_demo")]
    pub demo: bool,
    /// Leave new data empty.
    #[arg(long)]
    pub no_demo: bool,
    /// Keep everything in memory: gone at exit.
    #[arg(long)]
    pub ephemeral: bool,
    /// Listen beyond this machine without API keys.
    #[arg(long)]
    pub insecure: bool,
    /// Start although the wall clock and the last record of the journal are far apart.
    #[arg(long)]
    pub accept_clock: bool,
}

#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// The data directory of a server that is not running. Default: that of the settings.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub data_dir: Option<PathBuf>,
    /// Settings that name the journal, on a cluster or embedded.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// The stock instead of the events: a line {sku, location, on_hand, safety_stock} for each SKU and location, as
    /// POST /v1/inventory/imports takes it. `on_hand` is all that is there, held and sold units that have not left included.
    #[arg(long)]
    pub stock: bool,
}

#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// The backup: a directory that is not there yet.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// API keys and the secrets of the sandbox too.
    #[arg(long)]
    pub with_secrets: bool,
    #[command(flatten)]
    pub data: DataArgs,
}

#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
}

#[cfg(feature = "scylla")]
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// The CQL of keyspace and tables, for whoever may run it.
    Cql {
        /// Settings file; see config/holdfast.toml for every key.
        #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Inspect {
    /// Commits, events and bytes of the log.
    Journal(DataArgs),
    /// Sequence, orders, SKUs and snapshots of each partition.
    Partitions(DataArgs),
    /// One order or reservation: its facts.
    Order {
        /// ord_… or res_…
        id: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// One SKU: its counters and holds.
    Sku {
        /// Its name.
        sku: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Every metric of /metrics: name, kind, labels, meaning.
    Metrics {
        /// As docs/reference/metrics.md.
        #[arg(long)]
        markdown: bool,
    },
}

#[cfg(feature = "kafka")]
#[derive(Debug, Subcommand)]
pub enum KafkaCommand {
    /// Compare every record of the topic with the journal of a server that is not running. Exit code 1 if anything is
    /// missing, invented or out of order.
    Verify(KafkaVerifyArgs),
    /// Print events as they are published.
    Tail(KafkaTailArgs),
}

#[cfg(feature = "kafka")]
#[derive(Clone, Debug, Args)]
pub struct KafkaVerifyArgs {
    /// The data directory of a server that is not running; that of the settings if left out.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Settings file, for [kafka].
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
}

#[cfg(feature = "kafka")]
#[derive(Clone, Debug, Args)]
pub struct KafkaTailArgs {
    /// Events of this type only, for example order.paid.
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Events of this order or SKU only.
    #[arg(long, value_name = "ID")]
    pub subject: Option<String>,
    /// Where to begin.
    #[arg(long, value_enum, default_value = "end")]
    pub from: From,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Settings file, for [kafka].
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
}

#[cfg(feature = "kafka")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum From {
    Beginning,
    End,
}

#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Where a directory for the data is made, and removed at the end.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// What is measured; all of it if left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub work: Vec<BenchWork>,
    /// SKUs that it is spread over; 1 is a hot SKU.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,10000", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub skus: Vec<u64>,
    /// Commands in hand at once.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
    /// Of each load.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Threads that host partitions.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub shards: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BenchWork {
    /// A reservation of one unit.
    Holds,
    /// A reservation of one unit, and its commit.
    Pairs,
    /// An order of one line, and its confirmation.
    Orders,
}

impl BenchWork {
    pub const ALL: [Self; 3] = [Self::Holds, Self::Pairs, Self::Orders];

    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Pairs => "pairs",
            Self::Orders => "orders",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct SizeArgs {
    /// Orders that are placed and paid in a day.
    #[arg(long, value_name = "N")]
    pub orders_per_day: u64,
    /// Orders that are open at the same time: placed, and not yet confirmed, cancelled or expired.
    #[arg(long, value_name = "N")]
    pub open: u64,
    /// SKUs that have stock.
    #[arg(long, value_name = "N")]
    pub skus: u64,
    /// Lines of an order.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub lines: u64,
    /// Days of orders that are on the disk.
    #[arg(long, value_name = "N", default_value_t = 365)]
    pub days: u64,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read the settings and say whether they can be used.
    Check(ConfigArgs),
    /// Show every setting with its value, how it is changed, and where it came from.
    Explain(ConfigArgs),
}

#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// Settings file; see config/holdfast.toml for every key.
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the data is, if the server is started with it: what operators changed is there.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Where keys are: a server takes what is changed there while it runs.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// The data directory, of a server that is running or not. Default: that of the settings.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub data_dir: Option<PathBuf>,
    /// Settings that name the data directory.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl std::convert::From<KeyArgs> for DataArgs {
    fn from(KeyArgs { data_dir, config }: KeyArgs) -> Self {
        Self { data_dir, config }
    }
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key: the secret is shown once, its hash goes into the data directory.
    #[command(
        after_help = "Example:\n  holdfast key new --name storefront --data-dir data\n  holdfast key new --name grafana --role viewer --data-dir data\n  holdfast key new --name storefront --print"
    )]
    New {
        /// Whose key it is.
        #[arg(long, default_value = "default")]
        name: String,
        /// What the idempotency keys of its owner are bound to; the name if left out. A new key of the same client needs the scope of
        /// the old one, or a retry becomes a second order. "" is what was placed without API keys.
        #[arg(long)]
        scope: Option<String>,
        /// What its owner may do.
        #[arg(long, value_enum, default_value_t)]
        role: Role,
        #[command(flatten)]
        data: KeyArgs,
        /// Only print a line for [auth] keys of the settings file.
        #[arg(long)]
        print: bool,
    },
    /// Show the keys of the data directory: names, roles, scopes and the beginnings of their hashes.
    List {
        #[command(flatten)]
        data: KeyArgs,
    },
    /// Take keys back: a running server refuses them within two seconds.
    #[command(
        after_help = "Example:\n  holdfast key list --data-dir data\n  holdfast key revoke storefront --hash 1f0c9a2b77de --data-dir data"
    )]
    Revoke {
        /// Whose keys.
        name: String,
        /// Only those whose hash begins so, where several have the name.
        #[arg(long, default_value = "", hide_default_value = true)]
        hash: String,
        #[command(flatten)]
        data: KeyArgs,
    },
    /// Make a new webhook secret. Webhooks signed with the old one are taken too until the roll is finished.
    #[command(
        after_help = "Example:\n  holdfast key roll-webhook --data-dir data            then start the server again\n  holdfast key roll-webhook --data-dir data --finish   when nobody signs with the old one"
    )]
    RollWebhook {
        #[command(flatten)]
        data: KeyArgs,
        /// Remove the old secret: what is signed with it is refused from the next start on.
        #[arg(long)]
        finish: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Arguments without a word about them, below a command too.
    fn silent(command: &clap::Command) -> Vec<String> {
        let ours = command.get_arguments().filter(|argument| argument.get_help().is_none());
        let ours = ours.map(|argument| format!("{} {}", command.get_name(), argument.get_id()));
        ours.chain(command.get_subcommands().flat_map(silent)).collect()
    }

    #[test]
    fn every_argument_of_every_command_says_what_it_is() {
        assert_eq!(silent(&Cli::command()), [""; 0]);
    }

    #[test]
    fn keys_are_made_and_taken_back_beside_a_running_server_and_their_help_says_so() {
        let mut command = Cli::command();
        let key = command.find_subcommand_mut("key").unwrap();
        for command in key.get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("of a server that is running or not") && !help.contains("that is not running"), "{help}");
        }
    }
}
