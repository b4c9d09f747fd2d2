//! The metrics of the process, read from the text that `/metrics` answers.
//!
//! Invariant: a number on a page that is a metric is the number that Prometheus scrapes.

/// The samples of one moment.
#[derive(Clone, Debug, Default)]
pub struct Readings(Vec<Reading>);

#[derive(Clone, Debug)]
struct Reading {
    name: String,
    labels: String,
    value: f64,
}

impl Readings {
    /// Reads the exposition format of Prometheus. A line that is no sample counts for nothing.
    pub fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum over all labels. `None` if there is no such metric.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let mut values = self.of(name).map(|reading| reading.value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// As [`Self::sum`], of the samples whose `label` has this value.
    pub fn sum_of(&self, name: &str, label: &str, value: &str) -> f64 {
        self.of(name).filter(|reading| reading.label(label) == Some(value)).map(|reading| reading.value).sum()
    }

    /// Each sample with the value of its `label`.
    pub fn by<'a>(&'a self, name: &'a str, label: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.of(name).filter_map(move |reading| Some((reading.label(label)?, reading.value)))
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Reading> {
        self.0.iter().filter(move |reading| reading.name == name)
    }
}

impl Reading {
    /// Values of our labels have neither quotes nor backslashes in them.
    fn label(&self, label: &str) -> Option<&str> {
        let of = |pair: &str| pair.strip_prefix(label).is_some_and(|rest| rest.starts_with("=\""));
        let pair = self.labels.split("\",").find(|pair| of(pair))?;
        pair.split_once("=\"").map(|(_, value)| value.trim_end_matches('"'))
    }
}

fn sample(line: &str) -> Option<Reading> {
    let (key, value) = line.rsplit_once(' ')?;
    let (name, labels) = key.split_once('{').unwrap_or((key, ""));
    Some(Reading { name: name.to_owned(), labels: labels.trim_end_matches('}').to_owned(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_label() {
        let text =
            "# HELP a x\n# TYPE a counter\na{code=\"x\",route=\"/v1/orders/{id}\"} 3\na{code=\"y\"} 4\n\nab 7\nbroken\nc nan?\n";
        let readings = Readings::read(text);
        assert_eq!(
            (readings.sum("a"), readings.sum("ab"), readings.sum("c"), readings.sum("d")),
            (Some(7.0), Some(7.0), None, None)
        );
        assert_eq!(readings.by("a", "code").collect::<Vec<_>>(), [("x", 3.0), ("y", 4.0)]);
        assert_eq!(readings.by("a", "route").collect::<Vec<_>>(), [("/v1/orders/{id}", 3.0)]);
        assert_eq!((readings.sum_of("a", "code", "y"), readings.sum_of("a", "code", "z")), (4.0, 0.0));
    }
}
