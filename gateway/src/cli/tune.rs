//! `holdfast tune`, as `--help` teaches it.
//!
//! Invariant: looking and planning change nothing; only `apply` does.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Clone, Debug, Subcommand)]
pub enum TuneCommand {
    /// Measure cores, memory, disk and the engine on it, and print a settings file with the reason of each line. Takes some ten seconds of
    /// all cores, and a few hundred MiB of the disk while it runs. Ended early, it leaves a directory `probe-…` there, which can be removed.
    Probe {
        /// Where the data is or will be: the disk that is measured.
        #[arg(long, value_name = "DIR", default_value = "data")]
        data_dir: PathBuf,
    },
    /// Show the settings of a running server that can be changed now, each with where it came from.
    #[command(
        after_help = "WANTED is what the last change says where that is not in force.\n\nExample:\n  holdfast tune show --url http://127.0.0.1:8080"
    )]
    Show {
        /// Those too that only a restart changes.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Say what would be changed, and what that does. Changes nothing.
    #[command(
        after_help = "Example:\n  holdfast tune plan engine.credits=65536 log.level=debug\n  holdfast tune plan orders.accepting=false\n  holdfast tune plan --reset engine.credits"
    )]
    Plan {
        /// Settings with their new values.
        #[arg(value_name = "KEY=VALUE", value_parser = Wish::parse, required_unless_present = "reset")]
        changes: Vec<Wish>,
        /// Go back to what file, environment and arguments say.
        #[arg(long, value_name = "KEY")]
        reset: Vec<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Carry a plan out, or plan and carry out at once. A plan is refused if something was changed since it was made.
    ///
    /// Another number of shards moves partitions while orders go on: the command waits until they are where they are to be.
    #[command(
        after_help = "Example:\n  holdfast tune apply plan_… --note \"for the sale of Friday\"\n  holdfast tune apply engine.shards=8 --note \"for the sale of Friday\""
    )]
    Apply {
        /// As `tune plan` printed it, or settings with their new values.
        #[arg(value_name = "PLAN|KEY=VALUE", value_parser = Applicable::parse, required = true)]
        what: Vec<Applicable>,
        /// Why, for those who look at it later.
        #[arg(long)]
        note: Option<String>,
        /// Do not wait for partitions that move.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show what operators changed, the newest first.
    #[command(after_help = "Example:\n  holdfast tune history --limit 20")]
    History {
        /// So many changes at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// A running server.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Where it is. Plain HTTP: call it on its own machine, or through a tunnel.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = plain_http)]
    pub url: String,
    /// An API key, if it has keys: of the role viewer to look and plan, of admin to apply.
    #[arg(long, env = "HOLDFAST_KEY", hide_env_values = true)]
    pub key: Option<String>,
}

fn plain_http(text: &str) -> Result<String, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => Ok(text.to_owned()),
        Some(_) => {
            Err("must begin with http://: where TLS is in front of the server, call it behind that, or through a tunnel"
                .to_owned())
        }
        None => Err(format!("http:// is missing: http://{text}")),
    }
}

/// A setting with the value it is to have.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub key: String,
    pub value: serde_json::Value,
}

impl Wish {
    /// A value is a number or true or false where it reads as one, else a text.
    fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE, as engine.credits=65536")?;
        let scalar = serde_json::from_str(value).ok().filter(|value: &serde_json::Value| value.is_number() || value.is_boolean());
        Ok(Self { key: key.to_owned(), value: scalar.unwrap_or_else(|| value.into()) })
    }
}

/// What can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Applicable {
    Plan(String),
    Changes(Vec<Wish>),
}

impl Applicable {
    fn parse(text: &str) -> Result<Self, String> {
        if text.contains('=') { Wish::parse(text).map(|wish| Self::Changes(vec![wish])) } else { Ok(Self::Plan(text.to_owned())) }
    }

    /// Several as one.
    ///
    /// # Errors
    /// A plan stands alone.
    pub fn all(several: &[Self]) -> Result<Self, String> {
        if let [Self::Plan(plan)] = several {
            return Ok(Self::Plan(plan.clone()));
        }
        let wishes = |one: &Self| match one {
            Self::Plan(plan) => Err(format!("{plan} must be KEY=VALUE, or a plan that stands alone")),
            Self::Changes(wishes) => Ok(wishes.clone()),
        };
        let wishes: Vec<Vec<Wish>> = several.iter().map(wishes).collect::<Result<_, _>>()?;
        Ok(Self::Changes(wishes.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_a_number_or_a_truth_where_it_reads_as_one_and_a_text_otherwise() {
        for (text, value) in
            [("a.b=1", json!(1)), ("a.b=true", json!(true)), ("a.b=info", json!("info")), ("a.b=x=debug", json!("x=debug"))]
        {
            assert_eq!(Wish::parse(text), Ok(Wish { key: "a.b".to_owned(), value }), "{text}");
        }
        assert!(Wish::parse("a.b").is_err());
    }

    #[test]
    fn a_url_names_plain_http() {
        assert_eq!(plain_http("http://10.0.0.7:9090").as_deref(), Ok("http://10.0.0.7:9090"));
        assert!(plain_http("127.0.0.1:18080").unwrap_err().ends_with("http://127.0.0.1:18080"));
        assert!(plain_http("https://10.0.0.7").unwrap_err().contains("tunnel"));
    }

    #[test]
    fn a_plan_is_carried_out_alone_and_changes_together() {
        let all = |texts: &[&str]| {
            let several: Vec<Applicable> = texts.iter().map(|text| Applicable::parse(text).unwrap()).collect();
            Applicable::all(&several)
        };
        assert_eq!(all(&["plan_1"]), Ok(Applicable::Plan("plan_1".to_owned())));
        let wish = |key: &str| Wish { key: key.to_owned(), value: json!(1) };
        assert_eq!(all(&["a.b=1", "c.d=1"]), Ok(Applicable::Changes(vec![wish("a.b"), wish("c.d")])));
        assert!(all(&["plan_1", "a.b=1"]).is_err() && all(&["plan_1", "plan_2"]).is_err());
    }
}
