//! Warming up domains: beginning, showing with what is to be expected, ending.

use super::Domains;
use postfleet_core::audit::Act;
use postfleet_core::id::{DomainId, OrganizationId};
use postfleet_core::warm_up::{Course, STAGES, TARGETS, WarmUp};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::warm_up as schema;
use postfleet_store::warm_ups::{self, Begun, EndWarmUp, SetWarmUp};

impl Domains<'_> {
    /// Begins the warm-up of a domain of the act's organization, or changes where it goes.
    pub async fn set_warm_up(
        &self,
        act: Act,
        segment: &str,
        request: &schema::SetWarmUp,
    ) -> Result<schema::WarmUp, Problem> {
        let found = self.find(act.organization_id, segment).await?.domain.id;
        let (course, now) = (course(request)?, act.at);
        let begun = self.store.run(SetWarmUp { domain: found, course, act }).await?;
        let begun = begun.ok_or_else(Problem::not_found)?;
        Ok(show_warm_up(found, Some(&begun), now))
    }

    /// The warm-up of a domain; one that has none is shown as such.
    pub async fn warm_up(&self, organization: OrganizationId, segment: &str) -> Result<schema::WarmUp, Problem> {
        let found = self.find(organization, segment).await?.domain.id;
        let begun = warm_ups::find(&mut self.store.reader().await?, found).await?;
        Ok(show_warm_up(found, begun.as_ref(), self.clock.now()))
    }

    /// Ends the warm-up of a domain, if it has one.
    pub async fn end_warm_up(&self, act: Act, segment: &str) -> Result<(), Problem> {
        let domain = self.find(act.organization_id, segment).await?.domain.id;
        match self.store.run(EndWarmUp { domain, act }).await? {
            true => Ok(()),
            false => Err(Problem::not_found()),
        }
    }
}

fn course(request: &schema::SetWarmUp) -> Result<Course, Problem> {
    let target = request.target_per_day;
    if !TARGETS.contains(&target) {
        let text = format!("target_per_day must be {} to {}", TARGETS.start(), TARGETS.end());
        return Err(Problem::invalid("target_per_day", text));
    }
    let Some(start) = request.start_cap else { return Ok(Course::to(target)) };
    let (low, high) = Course::starts(target);
    if !(low..=high).contains(&start) {
        let text = format!("start_cap must be {low} to {high} to reach {target} a day in {STAGES} days");
        return Err(Problem::invalid("start_cap", text));
    }
    Ok(Course { start, target })
}

/// A warm-up as it is today.
pub(super) fn show_warm_up(domain: DomainId, begun: Option<&Begun>, now: UnixMicros) -> schema::WarmUp {
    let today = begun.map(|begun| begun.warm_up.on(now.day()));
    let warming = today.filter(|today| !today.is_over());
    let limit = warming.and_then(WarmUp::cap);
    let course = today.map(|today| today.course);
    schema::WarmUp {
        domain_id: domain.to_string(),
        state: match today {
            None => "off",
            Some(today) if today.is_over() => "warm",
            Some(_) => "warming",
        },
        target_per_day: course.map(|course| course.target),
        start_cap: course.map(|course| course.start),
        day: warming.map(|warming| warming.stage),
        limit,
        used: warming.map(|warming| warming.used),
        remaining: warming.zip(limit).map(|(warming, limit)| limit.saturating_sub(warming.used)),
        resets_at: warming.map(|warming| warming.day.end().as_seconds()),
        started_at: begun.map(|begun| begun.started_at.as_seconds()),
        ends_at: warming.and_then(WarmUp::forecast).map(|day| day.start().as_seconds()),
        caps: course.iter().flat_map(|course| (1..=STAGES).filter_map(|stage| course.cap(stage))).collect(),
    }
}
