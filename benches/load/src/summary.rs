//! The one line of JSON that a subcommand prints.

use std::fmt::Write;
use std::time::Duration;

/// Fields in the order in which they are added.
pub struct Summary(String);

impl Summary {
    /// Begins with the name of the subcommand.
    pub fn new(command: &str) -> Self {
        Self(format!("{{\"command\":\"{command}\""))
    }

    /// Adds a whole number.
    pub fn count(mut self, name: &str, value: u64) -> Self {
        let _ = write!(self.0, ",\"{name}\":{value}");
        self
    }

    /// Adds how many were done, in which time, and so how fast.
    pub fn rate(mut self, done: u64, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(1e-6);
        let rate = done as f64 / seconds;
        let _ = write!(self.0, ",\"done\":{done},\"seconds\":{seconds:.3},\"rate\":{rate:.1}");
        self
    }

    /// Adds percentiles of times given in nanoseconds.
    pub fn percentiles(mut self, mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        for (name, share) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("max_ms", 1.0)] {
            let at = (times.len() as f64 * share).ceil() as usize;
            if let Some(time) = times.get(at.max(1) - 1) {
                let _ = write!(self.0, ",\"{name}\":{:.3}", *time as f64 / 1e6);
            }
        }
        self
    }

    /// The line.
    pub fn line(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn percentiles_by_nearest_rank() {
        let line = Summary::new("x").percentiles((1..=100).map(|ms| ms * 1_000_000).collect()).line();
        assert_eq!(line, r#"{"command":"x","p50_ms":50.000,"p90_ms":90.000,"p99_ms":99.000,"max_ms":100.000}"#);
        assert_eq!(Summary::new("x").percentiles(Vec::new()).line(), r#"{"command":"x"}"#);
    }
}
