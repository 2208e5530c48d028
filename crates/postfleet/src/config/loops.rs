//! The section `[loops]`: when machines that answer each other are stopped. It can be set, and not be turned off.

use anyhow::{Result, ensure};
use postfleet_core::exchange::{LoopLimits, TURNS_MAX};
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Deserialize)]
pub struct Loops {
    pub turns: u64,
    pub turns_alike: u64,
    pub pause_seconds: u64,
    pub replies_per_day: u64,
    pub hops: u64,
    pub rest_seconds: u64,
    pub repeats_per_hour: u64,
    pub slow_down_ms: u64,
}

impl Loops {
    pub(super) fn check(&self) -> Result<()> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            ensure!((least..=most).contains(&value), "loops.{name} must be from {least} to {most}");
            Ok(())
        };
        within("turns", self.turns, 2, TURNS_MAX)?;
        within("turns_alike", self.turns_alike, 2, self.turns)?;
        within("pause_seconds", self.pause_seconds, 1, 3_600)?;
        within("replies_per_day", self.replies_per_day, 1, 1_000_000)?;
        within("hops", self.hops, 2, 1_000)?;
        within("rest_seconds", self.rest_seconds, 60, 86_400)?;
        within("repeats_per_hour", self.repeats_per_hour, 1, 1_000_000)?;
        within("slow_down_ms", self.slow_down_ms, 0, 10_000)
    }

    pub fn limits(&self) -> LoopLimits {
        LoopLimits {
            turns: self.turns,
            turns_alike: self.turns_alike,
            pause: Duration::from_secs(self.pause_seconds),
            replies_per_day: self.replies_per_day,
            hops: self.hops,
            rest: Duration::from_secs(self.rest_seconds),
            repeats_per_hour: self.repeats_per_hour,
            slow_down: Duration::from_millis(self.slow_down_ms),
        }
    }
}
