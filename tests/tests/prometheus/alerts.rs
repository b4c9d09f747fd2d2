//! The alert rules: they can be loaded, each fires and stays silent as its test says, and each has a page that says what to do.

use super::{is_here, read, root, table, unknown};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Command;

const RULES: &str = "config/prometheus/alerts.yml";
const TESTS: &str = "config/prometheus/alerts_test.yml";
const PAGE: &str = "docs/operate/alerts.md";

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    alert_rule_test: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

fn rules() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&read(RULES)).unwrap();
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

#[test]
fn every_alert_fires_and_stays_silent_as_its_tests_say() {
    if !is_here("promtool", "alert rules") {
        return;
    }
    for arguments in [["check", "rules", RULES], ["test", "rules", TESTS]] {
        let ran = Command::new("promtool").args(arguments).current_dir(root()).output().unwrap();
        let printed = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(ran.status.success(), "promtool {}: {printed}", arguments.join(" "));
    }
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_is_silent() {
    let tests: Tests = serde_saphyr::from_str(&read(TESTS)).unwrap();
    let expected: Vec<Expected> = tests.tests.into_iter().flat_map(|case| case.alert_rule_test).collect();
    for Rule { alert, .. } in rules() {
        let fires = |expected: &&Expected| expected.alertname == alert && !expected.exp_alerts.is_empty();
        let silent = |expected: &&Expected| expected.alertname == alert && expected.exp_alerts.is_empty();
        assert!(expected.iter().any(|one| fires(&one)) && expected.iter().any(|one| silent(&one)), "{alert}");
    }
}

#[test]
fn every_alert_leads_to_a_section_that_says_what_it_means_and_what_to_do() {
    let page = read(PAGE);
    let sections: BTreeMap<&str, &str> =
        page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, ""))).collect();
    let alerts = rules();
    for Rule { alert, labels, annotations, .. } in &alerts {
        let section = sections.get(alert.as_str()).unwrap_or_else(|| panic!("{PAGE} has no section {alert}"));
        for part in ["**Means.**", "**Look at.**", "**Do.**"] {
            assert!(section.contains(part), "{PAGE}, {alert}: {part}");
        }
        assert!(annotations["runbook_url"].ends_with(&format!("{PAGE}#{}", alert.to_lowercase())), "{alert}");
        assert!(!annotations["summary"].is_empty() && ["page", "ticket"].contains(&labels["severity"].as_str()), "{alert}");
    }
    let needless: Vec<&&str> = sections.keys().filter(|name| alerts.iter().all(|rule| rule.alert != **name)).collect();
    assert!(needless.is_empty(), "no alert leads to {needless:?}");
}

#[test]
fn every_expression_of_an_alert_is_about_metrics_that_there_are() {
    let table = table();
    for Rule { alert, expr, .. } in rules() {
        assert!(expr.contains("holdfast_"), "{alert} looks at nothing of ours");
        assert_eq!(unknown(&expr, &table), Vec::<String>::new(), "{alert}");
    }
}
