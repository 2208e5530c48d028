//! Decision tables of policies, and what holds whatever a policy and a plan say.

use super::*;
use crate::plan::Plans;
use proptest::prelude::*;
use std::sync::Arc;

const FREE: &str = "free";
const SELF_HOSTED: &str = "self_hosted";

fn plan(name: &str) -> Arc<Plan> {
    Plans::presets().find(name).unwrap().clone()
}

fn set(field: LimitField, value: i64) -> LimitsChange {
    LimitsChange { numbers: vec![(field, field.name(), Patch::Set(value))], ..LimitsChange::default() }
}

fn days(inbox: Option<i64>, spam: Option<i64>) -> LimitsChange {
    let change = |field: LimitField, days: Option<i64>| (field, field.name(), days.map_or(Patch::Keep, Patch::Set));
    let numbers = vec![change(LimitField::InboxRetentionDays, inbox), change(LimitField::SpamRetentionDays, spam)];
    LimitsChange { numbers, ..LimitsChange::default() }
}

fn types(list: &[&str]) -> Vec<MediaRange> {
    list.iter().map(|text| MediaRange::parse(text).unwrap()).collect()
}

#[test]
fn a_number_is_judged_against_the_plan() {
    use LimitField::*;
    let (minimum, unlimited) = ("at least 0", "must not be -1 (unlimited)");
    for (name, field, value, expected) in [
        (FREE, DailySends, 0, Ok(Some(0))),
        (FREE, DailySends, 200, Ok(Some(200))),
        (FREE, DailySends, 201, Err("must be at most 200 messages, the maximum of the plan free")),
        (FREE, DailySends, i64::MAX, Err("at most 200 messages")),
        (FREE, DailySends, -1, Err(unlimited)),
        (FREE, DailySends, -2, Err(minimum)),
        (FREE, DailySends, i64::MIN, Err(minimum)),
        (FREE, DailyReceived, -1, Ok(None)),
        (FREE, DailyReceived, -2, Err(minimum)),
        (FREE, StorageOctets, 3_221_225_472, Ok(Some(3_221_225_472))),
        (FREE, StorageOctets, 3_221_225_473, Err("at most 3221225472 bytes")),
        (FREE, AttachmentOctets, 50 << 20, Ok(Some(50 << 20))),
        (FREE, AttachmentOctets, (50 << 20) + 1, Err("at most 52428800 bytes")),
        (FREE, Attachments, 10, Ok(Some(10))),
        (FREE, Attachments, 11, Err("at most 10 attachments")),
        (FREE, InboundMessageOctets, 50 << 20, Ok(Some(50 << 20))),
        (FREE, InboundMessageOctets, (50 << 20) + 1, Err("at most 52428800 bytes")),
        (FREE, InboxRetentionDays, 31, Err("at most 30 days")),
        (FREE, SpamRetentionDays, 8, Err("at most 7 days")),
        ("full_platform", InboxRetentionDays, 365, Ok(Some(365))),
        ("full_platform", InboxRetentionDays, 366, Err("at most 365 days")),
        ("full_platform", Attachments, 20, Ok(Some(20))),
        ("full_platform", DailySends, -1, Ok(None)),
        (SELF_HOSTED, StorageOctets, i64::MAX, Ok(Some(i64::MAX as u64))),
        (SELF_HOSTED, StorageOctets, -1, Ok(None)),
        (SELF_HOSTED, AttachmentOctets, -1, Err("it cannot be unlimited")),
        (SELF_HOSTED, Attachments, -1, Err("it cannot be unlimited")),
        (SELF_HOSTED, InboundMessageOctets, -1, Err("it cannot be unlimited")),
    ] {
        let judged = set(field, value).apply(&PolicyLimits::default(), &plan(name));
        match (judged, expected) {
            (Ok(limits), Ok(expected)) => assert_eq!(field.set_by(&limits), expected, "{name} {field:?} {value}"),
            (Err(problem), Err(says)) => {
                assert_eq!(problem.field, Some(format!("limits.{}", field.name())));
                assert!(problem.public.contains(says), "{}", problem.public);
                assert!(problem.public.contains(field.name()), "{}", problem.public);
            }
            (judged, expected) => panic!("{name} {field:?} {value}: {judged:?}, not {expected:?}"),
        }
    }
}

#[test]
fn what_is_absent_stays_and_null_goes_back_to_the_plan() {
    let free = plan(FREE);
    let current = PolicyLimits {
        daily_sends_max: Some(50),
        storage_octets_max: Some(1_000),
        attachment_types: types(&["image/*"]),
        ..PolicyLimits::default()
    };
    assert_eq!(LimitsChange::default().apply(&current, &free), Ok(current.clone()));
    let name = LimitField::DailySends.name();
    let change = LimitsChange {
        numbers: vec![(LimitField::DailySends, name, Patch::Clear)],
        attachment_types: Patch::Set(Vec::new()),
    };
    let expected = PolicyLimits { storage_octets_max: Some(1_000), ..PolicyLimits::default() };
    assert_eq!(change.apply(&current, &free), Ok(expected));
    assert_eq!(LimitsChange::reset().apply(&current, &free), Ok(PolicyLimits::default()));
}

#[test]
fn what_stays_is_not_judged_by_a_smaller_plan() {
    let (free, current) = (plan(FREE), PolicyLimits { daily_sends_max: Some(500), ..PolicyLimits::default() });
    let changed = set(LimitField::Attachments, 5).apply(&current, &free).unwrap();
    assert_eq!((changed.daily_sends_max, changed.attachments_max), (Some(500), Some(5)));
    assert_eq!(Limits::effective(&free.limits, &changed).daily_sends_max, Some(200));
    assert!(set(LimitField::DailySends, 500).apply(&current, &free).is_err(), "what is said again is judged");
}

#[test]
fn junk_goes_before_other_mail() {
    for (name, inbox, spam, is_right) in [
        // What the policy leaves is that of the plan.
        (FREE, Some(30), Some(7), true),
        (FREE, Some(8), None, true),
        (FREE, Some(7), None, false),
        (FREE, Some(0), None, false),
        (FREE, None, Some(0), true),
        (FREE, Some(1), Some(0), true),
        (FREE, Some(0), Some(0), false),
        (FREE, Some(5), Some(5), false),
        (FREE, Some(5), Some(4), true),
        (FREE, Some(5), Some(6), false),
        // No end for other mail: junk may have any.
        (SELF_HOSTED, None, Some(1_000), true),
        (SELF_HOSTED, Some(-1), Some(1_000), true),
        (SELF_HOSTED, Some(-1), Some(-1), true),
        // No end for junk, and one for other mail.
        (SELF_HOSTED, Some(30), None, false),
        (SELF_HOSTED, Some(30), Some(-1), false),
        (SELF_HOSTED, Some(30), Some(29), true),
        (SELF_HOSTED, Some(30), Some(30), false),
    ] {
        let judged = days(inbox, spam).apply(&PolicyLimits::default(), &plan(name));
        assert_eq!(judged.is_ok(), is_right, "{name} {inbox:?} {spam:?}: {judged:?}");
        if let Err(problem) = judged {
            assert_eq!(problem.field.as_deref(), Some("limits.limit_spam_retention_period"));
        }
    }
    // Neither is set: the plan is not judged by a policy.
    assert!(days(None, None).apply(&PolicyLimits::default(), &plan(FREE)).is_ok());
    let spam = PolicyLimits { inbox_retention_days: Some(10), spam_retention_days: Some(5), ..PolicyLimits::default() };
    assert!(days(Some(5), None).apply(&spam, &plan(FREE)).is_err(), "a change of one is judged with the other");
}

#[test]
fn types_stay_inside_those_of_the_plan() {
    let mut narrow = Plan::clone(&plan(FREE));
    narrow.limits.attachment_types = types(&["image/*", "application/pdf"]);
    for (plan, list, is_right) in [
        (&*plan(FREE), vec!["*/*"], true),
        (&narrow, vec![], true),
        (&narrow, vec!["image/*"], true),
        (&narrow, vec!["image/png", "application/pdf"], true),
        (&narrow, vec!["application/*"], false),
        (&narrow, vec!["image/png", "text/plain"], false),
        (&narrow, vec!["*/*"], false),
    ] {
        let change = LimitsChange { attachment_types: Patch::Set(types(&list)), ..LimitsChange::default() };
        let judged = change.apply(&PolicyLimits::default(), plan);
        assert_eq!(judged.is_ok(), is_right, "{list:?}");
        if let Err(problem) = judged {
            assert_eq!(problem.field.as_deref(), Some("limits.limit_attachment_allowed_types"));
            assert!(problem.public.contains("allows only image/*, application/pdf"), "{}", problem.public);
        }
    }
    let many = |count| LimitsChange {
        attachment_types: Patch::Set(vec![MediaRange::parse("image/png").unwrap(); count]),
        ..LimitsChange::default()
    };
    assert!(many(ATTACHMENT_TYPES_MAX).apply(&PolicyLimits::default(), &narrow).is_ok());
    assert!(many(ATTACHMENT_TYPES_MAX + 1).apply(&PolicyLimits::default(), &narrow).is_err());
}

#[test]
fn sensitivity_has_its_range() {
    for (value, expected) in [
        (0.1, Some(100)),
        (0.099_99, None),
        (1.0, Some(1_000)),
        (1.234_56, Some(1_235)),
        (5.0, Some(5_000)),
        (5.000_1, None),
        (-1.0, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
    ] {
        assert_eq!(sensitivity(value).ok(), expected, "{value}");
    }
}

#[test]
fn spam_detection_merges_field_by_field() {
    let current =
        SpamDetection { use_list_dnsbl: true, use_header_anomaly_detection: true, sensitivity_permille: 2_000 };
    assert_eq!(SpamDetectionChange::default().apply(current), current);
    let change = SpamDetectionChange { use_list_dnsbl: Patch::Set(false), ..SpamDetectionChange::default() };
    assert_eq!(change.apply(current), SpamDetection { use_list_dnsbl: false, ..current });
    let change = SpamDetectionChange { sensitivity_permille: Patch::Clear, ..SpamDetectionChange::default() };
    assert_eq!(change.apply(current), SpamDetection { sensitivity_permille: 1_000, ..current });
    assert_eq!(SpamDetectionChange::RESET.apply(current), SpamDetection::default());
}

fn ranges() -> impl Strategy<Value = Vec<MediaRange>> {
    const SOME: &[&str] = &["image/*", "image/png", "text/plain", "text/*", "application/pdf", "*/*"];
    prop::collection::vec(prop::sample::select(SOME).prop_map(|text| MediaRange::parse(text).unwrap()), 0..4)
}

fn maybe() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..50u64)
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let numbers = prop::array::uniform3(0..50u64);
    (numbers, ranges(), prop::array::uniform5(maybe())).prop_map(|(numbers, attachment_types, maybe)| Limits {
        attachment_octets_max: numbers[0],
        attachments_max: numbers[1],
        attachment_types,
        inbound_message_octets_max: numbers[2],
        outbound_message_octets_max: 25,
        storage_octets_max: maybe[0],
        daily_received_max: maybe[1],
        daily_sends_max: maybe[2],
        inbox_retention_days: maybe[3],
        spam_retention_days: maybe[4],
    })
}

fn any_policy() -> impl Strategy<Value = PolicyLimits> {
    (prop::array::uniform8(maybe()), ranges()).prop_map(|(maybe, attachment_types)| {
        let mut policy = PolicyLimits { attachment_types, ..PolicyLimits::default() };
        for (field, value) in LimitField::ALL.into_iter().zip(maybe) {
            *field.slot(&mut policy) = value;
        }
        policy
    })
}

fn allows(limits: &Limits, media_type: &str) -> bool {
    limits.attachments_max > 0
        && (limits.attachment_types.is_empty() || limits.attachment_types.iter().any(|range| range.matches(media_type)))
}

proptest! {
    /// Whatever a policy says (also one that was made under another plan), no more holds than the plan allows, and no
    /// more than the policy does.
    #[test]
    fn no_policy_raises_what_the_plan_allows(plan in any_limits(), policy in any_policy()) {
        let effective = Limits::effective(&plan, &policy);
        for field in LimitField::ALL {
            let (plan, own, set) = (field.of(&plan), field.of(&effective), field.set_by(&policy));
            prop_assert!(own.unwrap_or(u64::MAX) <= plan.unwrap_or(u64::MAX), "{field:?}");
            prop_assert!(own.unwrap_or(u64::MAX) <= set.unwrap_or(u64::MAX), "{field:?}");
        }
        prop_assert_eq!(effective.outbound_message_octets_max, plan.outbound_message_octets_max);
        let own_types = Limits { attachments_max: 1, attachment_types: policy.attachment_types.clone(), ..plan.clone() };
        for media_type in ["image/png", "image/gif", "text/plain", "text/html", "application/pdf", "video/mp4"] {
            let both = allows(&plan, media_type) && allows(&own_types, media_type);
            let is_capped = policy.attachments_max == Some(0);
            prop_assert_eq!(allows(&effective, media_type), both && !is_capped, "{}", media_type);
        }
    }

    /// What a request may set is what holds: nothing is accepted and then lowered.
    #[test]
    fn what_is_accepted_holds(plan_limits in any_limits(), value in -3..60i64, which in 0..8usize) {
        let plan = Plan { limits: plan_limits, ..Plan::clone(&plan(FREE)) };
        let field = LimitField::ALL[which];
        if let Ok(policy) = set(field, value).apply(&PolicyLimits::default(), &plan) {
            let expected = u64::try_from(value).ok();
            prop_assert_eq!(field.of(&Limits::effective(&plan.limits, &policy)), expected);
        }
    }
}
