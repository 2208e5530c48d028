use super::*;
use proptest::prelude::*;

/// What a template becomes, or why it does not; as `crates/mail/src/template/cases.json` has it.
fn outcome(template: &str, variables: &Value, is_strict: bool, form: Form) -> String {
    let rendered = Template::read(template).and_then(|template| template.render(variables, is_strict, form));
    rendered.unwrap_or_else(|fault| format!("fault: {fault}"))
}

#[test]
fn the_table_of_cases() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases.json")).expect("cases");
    for case in &cases {
        let text = |field: &str| case[field].as_str().unwrap_or_else(|| panic!("{field} of {case}"));
        let form = match case["form"].as_str() {
            Some("text") => Form::Text,
            Some("line") => Form::Line,
            _ => Form::Html,
        };
        let is_strict = case["strict"].as_bool().unwrap_or(true);
        let found = outcome(text("template"), &case["variables"], is_strict, form);
        assert_eq!(found, text("expected"), "{}", text("name"));
    }
    assert!(cases.len() >= 100, "{} cases", cases.len());
}

#[test]
fn a_template_costs_what_it_may_and_no_more() {
    let nested = |depth: usize| format!("{}x{}", "{{#a}}".repeat(depth), "{{/a}}".repeat(depth));
    let yes = serde_json::json!({"a": true});
    assert_eq!(outcome(&nested(DEPTH_MAX), &yes, true, Form::Text), "x");
    assert!(outcome(&nested(DEPTH_MAX + 1), &yes, true, Form::Text).starts_with("fault: line 1: sections"));
    let full = "x".repeat(OUTPUT_OCTETS_MAX);
    assert_eq!(outcome(&full, &yes, true, Form::Text).len(), OUTPUT_OCTETS_MAX);
    assert_eq!(outcome(&format!("{full}x"), &yes, true, Form::Text), format!("fault: {}", Fault::TooLarge));
    // A list in a list in a list.
    let list = serde_json::json!({"a": vec![1; 200]});
    let cubed = "{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}";
    assert_eq!(outcome(cubed, &list, true, Form::Text), format!("fault: {}", Fault::TooLong));
    // Reading takes time linear in the length.
    for piece in ["{{", "{{#a}}", "{{x}}", "}}", "{{!", "{{{a", "\n{{#a}}\n{{/a}}"] {
        outcome(&piece.repeat((1 << 20) / piece.len()), &yes, true, Form::Html);
    }
}

proptest! {
    #[test]
    fn any_template(text in "(\\PC|\n){0,80}", tags in "(\\{\\{|\\}\\}|\\{|\\}|#|/|\\^|!|&|a|\\.|b| |\n|\r){0,60}") {
        let variables = serde_json::json!({"a": [{"b": "<1>"}, {"b": null}], "b": {"a": [[]]}});
        for template in [&text, &tags] {
            for form in [Form::Html, Form::Text, Form::Line] {
                outcome(template, &variables, true, form);
                let line = outcome(template, &variables, false, form);
                prop_assert!(form != Form::Line || line.starts_with("fault") || !line.contains(['\n', '\r']));
            }
        }
    }

    #[test]
    fn what_is_escaped_is_no_markup(value in "\\PC{0,40}") {
        let found = outcome("{{v}}", &serde_json::json!({ "v": value }), true, Form::Html);
        prop_assert!(!found.contains(['<', '>', '"', '\'', '`']));
    }
}
