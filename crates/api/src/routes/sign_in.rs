//! `/v3/connect/…` and `/v3/providers/detect`: the OAuth-shaped sign-in for mail applications.

use super::sign_in_page::{show_page, sign_in_on_page};
use crate::auth;
use crate::call::{Call, OpenCall};
use crate::extract::{FORM_OCTETS_MAX, Query, form, is_form, json, peer};
use crate::pages;
use crate::respond::{self, Answer, RequestId};
use crate::route::{Answers, Kind, Parameter, Route};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use postfleet_core::{EmailAddress, Problem, ProblemKind, Secret};
use postfleet_fleet::sign_in::{self, Client, Guess, Outcome, SignedIn, Terms, Wish};
use postfleet_fleet::tokens::{self, TokenRefusal};
use postfleet_mailflow::Platform;
use postfleet_schema::page::Done;
use postfleet_schema::sign_in::{
    DetectProvider, DetectedProvider, LoggedIn, Login, SignInForm, TokenError, TokenInfo, TokenRequest, Tokens,
};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const AUTH: &[Parameter] = &[
        Parameter::new("client_id", Kind::Text, "The application's id."),
        Parameter::new("redirect_uri", Kind::Text, "One of the application's redirect URIs, to the letter."),
        Parameter::new("response_type", Kind::OneOf(&["code"]), "What is wanted."),
        Parameter::new("provider", Kind::OneOf(&["nylas"]), "The one provider; it may be absent."),
        Parameter::new("access_type", Kind::OneOf(&["online", "offline"]), "`offline` for a refresh token, too."),
        Parameter::new("state", Kind::Text, "Comes back as it is; at most 1,024 characters."),
        Parameter::new("login_hint", Kind::Text, "The address that is filled in already."),
        Parameter::new("code_challenge", Kind::Text, "A challenge (RFC 7636): 43 to 128 characters."),
        Parameter::new("code_challenge_method", Kind::OneOf(&["S256", "plain"]), "How it was made; `plain` if absent."),
        Parameter::new("prompt", Kind::Text, "Not looked at: the page always asks."),
        Parameter::new("scope", Kind::Text, "Not looked at: a token always opens the same."),
    ];
    const REVOKE: &[Parameter] = &[Parameter::new("token", Kind::Text, "An access or a refresh token.")];
    const INFO: &[Parameter] = &[
        Parameter::new("access_token", Kind::Text, "The access token that is asked about."),
        Parameter::new("id_token", Kind::Text, "Or the id token."),
    ];
    const DETECT: &[Parameter] = &[
        Parameter::new("email", Kind::Text, "The address, where the body does not have it."),
        Parameter::new("all_provider_types", Kind::Flag, "Not looked at: there is one provider."),
    ];
    vec![
        Route::get("/v3/connect/auth", "", show_page)
            .about("Show the sign-in page", "A page for people, which leads back to the application.")
            .query(AUTH)
            .answers_file("text/html")
            .answers_also(Answers::File(400, "text/html"))
            .answers_also(Answers::File(401, "text/html"))
            .answers_also(Answers::File(403, "text/html"))
            .answers_also(Answers::File(429, "text/html"))
            .answers_also(Answers::File(503, "text/html")),
        Route::post("/v3/connect/auth", "", sign_in_on_page)
            .about(
                "Sign in on the page",
                "The page sends its form here, with the parameters of the page and `email` and `app_password`.",
            )
            .takes_form::<SignInForm>()
            .redirects()
            .answers_also(Answers::File(400, "text/html"))
            .answers_also(Answers::File(401, "text/html"))
            .answers_also(Answers::File(403, "text/html"))
            .answers_also(Answers::File(429, "text/html"))
            .answers_also(Answers::File(503, "text/html")),
        Route::post("/v3/connect/login/nylas", "", log_in)
            .about("Sign in without the page", "For applications that ask for the password themselves.")
            .takes::<Login>()
            .answers_bare::<LoggedIn>(),
        Route::post("/v3/connect/token", "", exchange)
            .about("Exchange a code or a refresh token", "As JSON or as a form. A code is taken once.")
            .takes::<TokenRequest>()
            .refuses_as::<TokenError>()
            .answers_bare::<Tokens>(),
        Route::post("/v3/connect/revoke", "", revoke)
            .about("Revoke a token", "A refresh token takes with it all that its sign-in gave.")
            .query(REVOKE)
            .refuses_as::<TokenError>(),
        Route::get("/v3/connect/tokeninfo", "", token_info)
            .about("Ask what a token says", "")
            .query(INFO)
            .refuses_as::<TokenError>()
            .answers::<TokenInfo>(),
        Route::post("/v3/providers/detect", "grants.read", detect)
            .about("Ask whether an address is one of ours", "The fields may stand in the query or in the body.")
            .query(DETECT)
            .takes::<DetectProvider>()
            .answers::<DetectedProvider>(),
    ]
}

/// `POST /v3/connect/login/nylas`
pub(crate) async fn log_in(call: OpenCall) -> Answer {
    let OpenCall { platform, id, parts, body, .. } = call;
    let login: Login = json(&parts, body, FORM_OCTETS_MAX).await?;
    let wish = Wish {
        access_type: login.access_type.as_deref(),
        state: login.state.as_deref(),
        code_challenge: login.code_challenge.as_deref(),
        code_challenge_method: login.code_challenge_method.as_deref(),
        ..Wish::default()
    };
    let terms = sign_in::terms(&wish)?;
    let client = sign_in::client(&platform.store, &login.public_application_id, &login.redirect_uri).await?;
    let password = Secret::new(login.app_password);
    match attempt(&platform, &parts, client.as_ref(), &terms, &login.email, password).await? {
        Outcome::Accepted(signed_in) => Ok(private(respond::json(
            StatusCode::OK,
            &id,
            &LoggedIn {
                base_url: base_url(&parts),
                success: true,
                grant_id: signed_in.grant_id.to_string(),
                state: terms.state.unwrap_or_default(),
                provider: "nylas",
                email: signed_in.email.to_string(),
                code: signed_in.code.expose().clone(),
                is_oauth_v2: true,
            },
        ))),
        Outcome::Refused => Err(sign_in::refused()),
        Outcome::Throttled(exhausted) => Err(sign_in::throttled(exhausted)),
    }
}

pub(super) async fn attempt(
    platform: &Platform,
    parts: &Parts,
    client: Option<&Client>,
    terms: &Terms,
    email: &str,
    password: Secret<String>,
) -> Result<Outcome<SignedIn>, Problem> {
    let guess = Guess { email, password, peer: peer(parts, platform) };
    let (gate, entropy) = (platform.gate(), &*platform.entropy);
    let outcome = sign_in::sign_in(gate, &platform.keys, entropy, client, terms, guess).await?;
    platform.metrics.signed_in(match &outcome {
        Outcome::Accepted(signed_in) if signed_in.is_remembered => "remembered",
        Outcome::Accepted(_) => "accepted",
        Outcome::Refused => "refused",
        Outcome::Throttled(_) => "throttled",
    });
    Ok(outcome)
}

/// Where this interface is, as the client has it.
fn base_url(parts: &Parts) -> String {
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = text("x-forwarded-host").or(text("host")).or(parts.uri.authority().map(|host| host.as_str()));
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}

/// `POST /v3/connect/token`
pub(crate) async fn exchange(call: OpenCall) -> Answer {
    let OpenCall { platform, id, parts, body, .. } = call;
    let request = if is_form(&parts) {
        form(&parts, body, FORM_OCTETS_MAX).await.map(|form| token_request(&form))
    } else {
        json(&parts, body, FORM_OCTETS_MAX).await
    };
    let request = match request {
        Ok(request) => request,
        Err(problem) => return Ok(refusal(&platform, &id, TokenRefusal::Failed(problem))),
    };
    let (store, entropy, now) = (&platform.store, &*platform.entropy, platform.clock.now());
    match tokens::exchange(store, &platform.keys, entropy, now, &issuer(&platform), &request).await {
        Ok(tokens) => Ok(private(respond::json(StatusCode::OK, &id, &tokens))),
        Err(refused) => Ok(refusal(&platform, &id, refused)),
    }
}

fn token_request(form: &Query) -> TokenRequest {
    let field = |name| form.get(name).map(str::to_owned);
    TokenRequest {
        grant_type: field("grant_type"),
        client_id: field("client_id"),
        client_secret: field("client_secret"),
        redirect_uri: field("redirect_uri"),
        code: field("code"),
        code_verifier: field("code_verifier"),
        refresh_token: field("refresh_token"),
    }
}

/// A refusal in the shape of RFC 6749 §5.2, with a number beside the word.
fn refusal(platform: &Platform, id: &RequestId, refusal: TokenRefusal) -> Response {
    let invalid = |text: &str| Problem::new(ProblemKind::Invalid, "invalid_request", text);
    let (error, error_code, problem) = match refusal {
        TokenRefusal::InvalidRequest(text) => ("invalid_request", 40_001, invalid(&text)),
        TokenRefusal::InvalidGrant => {
            let text =
                "the code or token is unknown, over, used before, or was given to another client or redirect_uri";
            ("invalid_grant", 40_002, invalid(text))
        }
        TokenRefusal::UnsupportedGrantType => {
            let text = "grant_type must be authorization_code or refresh_token";
            ("unsupported_grant_type", 40_003, invalid(text))
        }
        TokenRefusal::InvalidClient => {
            let text = "client_id must be an application's id, and client_secret a key of that application";
            ("invalid_client", 40_101, Problem::new(ProblemKind::Unauthenticated, "invalid_api_key", text))
        }
        TokenRefusal::Failed(problem) => match problem.kind {
            _ if problem.code == "invalid_token" => ("invalid_token", 40_102, problem),
            ProblemKind::Invalid | ProblemKind::TooLarge => ("invalid_request", 40_001, problem),
            ProblemKind::Unauthenticated => ("invalid_client", 40_101, problem),
            ProblemKind::Forbidden => ("unauthorized_client", 40_301, problem),
            ProblemKind::Unavailable | ProblemKind::OutOfSpace => ("temporarily_unavailable", 50_301, problem),
            _ => ("server_error", 50_001, problem),
        },
    };
    let mut response = private(respond::problem(id, &problem, platform.clock.now()));
    let error_description = problem.public;
    let body = TokenError { request_id: id.0.clone(), error, error_code, error_description, error_uri: "" };
    *response.body_mut() = Body::from(serde_json::to_vec(&body).unwrap_or_default());
    response
}

/// `POST /v3/connect/revoke`
pub(crate) async fn revoke(call: OpenCall) -> Answer {
    let (platform, id) = (call.platform.clone(), call.id.clone());
    match revoke_named(call).await {
        Ok(()) => Ok(respond::json(StatusCode::OK, &id, &Done { request_id: id.0.clone() })),
        Err(refused) => Ok(refusal(&platform, &id, refused)),
    }
}

async fn revoke_named(call: OpenCall) -> Result<(), TokenRefusal> {
    // Whoever has a token may end it. An application that shows its key is on record with it.
    let caller = auth::caller_if_any(&call.platform, &call.parts.headers).await?;
    let act = match &caller {
        Some(caller) if caller.grant.is_none() => Some(call.act(caller)?),
        _ => None,
    };
    let OpenCall { platform, parts, body, .. } = call;
    let mut query = Query::of(&parts)?;
    if is_form(&parts) {
        query = query.then(form(&parts, body, FORM_OCTETS_MAX).await?);
    }
    let Some(token) = query.get("token").filter(|token| !token.is_empty()) else {
        return Err(TokenRefusal::InvalidRequest("token is missing".to_owned()));
    };
    Ok(tokens::revoke(&platform.store, &platform.keys, act, token).await?)
}

/// `GET /v3/connect/tokeninfo`
pub(crate) async fn token_info(call: OpenCall) -> Answer {
    match info_named(&call.platform, &call.parts).await {
        Ok(info) => Ok(private(respond::single(&call.id, info))),
        Err(problem) => Ok(refusal(&call.platform, &call.id, TokenRefusal::Failed(problem))),
    }
}

async fn info_named(platform: &Platform, parts: &Parts) -> Result<TokenInfo, Problem> {
    let asking = match auth::caller_if_any(platform, &parts.headers).await? {
        Some(caller) => Some(caller.application()?),
        None => None,
    };
    let query = Query::of(parts)?;
    let (store, hasher, now) = (&platform.store, &platform.keys, platform.clock.now());
    match (query.get("access_token"), query.get("id_token")) {
        (Some(token), None) => tokens::access_token_info(store, hasher, now, &issuer(platform), asking, token).await,
        (None, Some(token)) => tokens::id_token_info(store, hasher, now, asking, token).await,
        _ => Err(Problem::invalid("access_token", "either access_token or id_token must be given")),
    }
}

/// Who has issued a token.
fn issuer(platform: &Platform) -> String {
    format!("https://{}", platform.settings.hostname)
}

fn private(mut response: Response) -> Response {
    pages::never_kept(response.headers_mut());
    response
}

/// `POST /v3/providers/detect`
pub(crate) async fn detect(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let named = query.get("email").map(str::to_owned);
    let email = match named {
        Some(email) => Some(email),
        None => json::<DetectProvider>(&call.parts, call.body, FORM_OCTETS_MAX).await?.email,
    };
    let email = email.ok_or_else(|| Problem::invalid("email", "email is missing"))?;
    let address = EmailAddress::parse(email.trim())
        .map_err(|error| Problem::invalid("email", format!("email is not an address: {error}")))?;
    let detected = sign_in::has_domain(&call.platform.store, call.application, address.domain()).await?;
    let answer = DetectedProvider { email_address: address.to_string(), detected, provider: "nylas", kind: "nylas" };
    Ok(respond::single(&call.id, answer))
}
