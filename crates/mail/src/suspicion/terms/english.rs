//! English, the marks of prompts, and words that all languages share.

use super::Concept::*;
use super::Table;

pub(super) const TABLE: Table = &[
    (
        Override,
        &[
            "ignore", "ignoring", "disregard", "disregarding", "forget", "override", "overriding", "bypass", "overrule", "discard",
            "set aside", "pay no attention to", "do not follow", "don't follow", "do not obey", "don't obey", "stop following",
            "do not comply with", "no longer follow", "drop all", "neglect", "supersede", "supersedes", "circumvent", "cancel all",
            "nullify", "abandon",
        ],
    ),
    (
        Whole,
        &[
            "all", "any", "every", "previous", "previously", "prior", "above", "earlier", "preceding", "your", "existing", "former",
            "original", "initial", "past", "foregoing", "current", "everything", "other", "whatever", "these system", "the system",
            "given", "before",
        ],
    ),
    (
        Orders,
        &[
            "instruction", "instructions", "prompt", "prompts", "guideline", "guidelines", "directive", "directives", "rules", "commands",
            "system message", "system prompt", "programming", "orders", "policies", "constraints", "training", "system instruction*",
            "developer message", "directions",
        ],
    ),
    (Own, &["my", "our", "mine", "ours"]),
    (We, &["we", "i will", "i am", "i have", "we'll", "i'll", "you can", "you may", "lets you", "allows you", "able to", "to stop", "how to"]),
    (
        Guard,
        &[
            "safeguard*", "safety", "guardrail*", "content policy", "content policies", "security polic*", "safety polic*", "filters",
            "moderation", "restrictions", "limitations", "ethical",
        ],
    ),
    (
        NewOrders,
        &[
            "new instruction*", "updated instruction*", "your real task", "your actual task", "your true purpose", "your new task",
            "your new objective", "your new goal", "your real instruction*", "new directive*", "new system prompt", "updated system prompt",
            "new system message", "new rules", "your only task", "your next task", "instead do the following", "priority override",
            "override code",
        ],
    ),
    (
        YouAre,
        &[
            "you are now", "you're now", "you will now act as", "from now on you", "from now on act", "from this point on you", "act as",
            "pretend to be", "pretend you are", "pretend that you are", "roleplay as", "role play as", "behave as",
            "you are no longer", "assume the role", "take on the role", "your new role", "your new persona", "imagine you are", "respond as", "answer as",
        ],
    ),
    (
        Machine,
        &[
            "ai", "a i", "assistant", "language model", "language models", "llm", "llms", "chatgpt", "gpt", "gpt 4", "claude", "gemini", "copilot",
            "chatbot", "ai agent", "ai agents", "virtual assistant", "mail agent", "email agent", "email assistant", "autonomous agent",
        ],
    ),
    (
        Free,
        &[
            "unrestricted", "without restrictions", "without any restrictions", "no restrictions", "without limitations", "developer mode",
            "debug mode", "god mode", "admin mode", "maintenance mode", "dan mode", "do anything now", "jailbreak", "jailbroken", "unfiltered",
            "uncensored", "no rules", "without rules", "no filters", "without filters", "without any filters", "no longer bound",
            "not bound by", "free from all", "sudo mode", "root mode", "you are dan", "as dan",
        ],
    ),
    (
        IfMachine,
        &[
            "if you are an ai agent", "if you are an ai assistant", "if you are an ai model", "if you are an ai system", "if you are an ai bot",
            "if you're an ai agent", "if you're an ai assistant", "if you're an ai model", "if you are a language model",
            "if you are a large language model", "if you're a language model", "if you are an llm", "if you're an llm", "if you are a bot",
            "if you're a bot", "if you are a chatbot", "if you are an assistant", "if you are an automated", "if this is read by an ai",
            "if an ai reads this", "if you are an ai reading", "if you are an ai processing", "if you are an ai summarizing",
            "if you are an artificial intelligence", "if you are chatgpt", "if you are claude", "if you are gemini", "if you are copilot",
            "as an ai language model you", "as the ai assistant you", "as an ai assistant you", "as an ai agent you",
        ],
    ),
    (
        ToMachine,
        &[
            "attention ai", "attention assistant", "attention llm*", "attention all ai*", "attention language model*", "attention chatbot*",
            "attention agent", "dear ai assistant", "dear ai agent", "dear llm", "dear language model", "dear chatbot", "hey ai", "hello ai assistant",
            "hi ai assistant", "note to ai", "note to llm*", "note to assistant", "note for ai", "message to ai", "message for ai", "message for the ai",
            "message to the ai", "instruction* for ai", "instruction* for the ai", "instruction* to ai", "instruction* for llm*",
            "instruction* for the assistant", "instruction* to the assistant", "instruction* for the agent", "instruction* for language model*",
            "instruction* to the model", "instruction* to the ai", "to the ai reading", "to any ai", "to the ai assistant", "to the language model",
            "to the llm", "to all ai", "ai agents reading", "ai assistants reading", "ai reading this", "ai processing this", "assistant reading this",
            "model reading this", "agent reading this", "agent processing this", "assistant processing this", "ai instruction*", "llm instruction*",
            "assistant instruction*", "ai assistant please", "ai agent please", "ai directive*", "for ai eyes only", "important note for ai*",
            "ai systems must", "ai assistants must", "ai agents must", "ai assistant must", "ai agent must", "the ai must", "the assistant must",
            "the ai assistant must", "the agent must",
        ],
    ),
    (
        Processing,
        &[
            "when summarizing this", "when summarising this", "when processing this", "when you summarize this", "when you process this",
            "while processing this", "while summarizing this", "upon reading this", "upon processing this", "when analyzing this",
            "when analysing this", "before summarizing", "after summarizing", "when you read this email", "when reading this email",
            "before processing this", "once you have processed this", "once you have read this email", "when generating a summary",
            "when creating a summary", "in processing this email",
        ],
    ),
    (Reveal, &["reveal", "show", "print", "output", "repeat", "disclose", "display", "list", "dump", "recite", "tell", "expose", "leak", "include", "reply with", "respond with", "return", "write out", "translate"]),
    (
        Give,
        &[
            "send", "forward", "email", "e mail", "share", "provide", "give", "submit", "upload", "post", "transmit", "exfiltrate", "bcc", "cc",
            "copy", "export", "transfer", "reply with", "respond with", "deliver", "hand over", "redirect", "attach", "text me", "message me",
            "leak", "sync", "mail",
        ],
    ),
    (
        Secret,
        &[
            "password", "passwords", "passcode", "passphrase", "api key", "api keys", "apikey", "access token", "access tokens", "auth token*",
            "bearer token*", "refresh token*", "credentials", "login details", "login data", "private key", "private keys", "seed phrase",
            "recovery phrase", "recovery code*", "secret key*", "secrets", "one time code", "one time password", "verification code", "security code",
            "2fa code", "mfa code", "otp", "environment variables", "env file", "ssh key*", "client secret", "session cookie*", "session token*",
            "authentication code", "sign in code", "login code", "pin code",
        ],
    ),
    (
        Inner,
        &[
            "system prompt", "system prompts", "systemprompt", "system message", "your instructions", "your initial instructions",
            "your original instructions", "your prompt", "initial prompt", "hidden prompt", "hidden instructions", "internal instructions",
            "your configuration", "your memory", "your context", "context window", "conversation history", "chat history", "your guidelines",
            "your rules", "developer message", "your tools", "the tools you have", "tool definitions", "everything above this line",
            "the text above", "all text above", "your system instructions", "your system settings",
        ],
    ),
    (ToMe, &["me", "us", "back", "to the following", "to this address", "below address", "http", "https", "webhook", "our server", "reply with", "respond with", "to my", "in your reply", "in your response", "your reply"]),
    (Never, &["never", "not", "don't", "won't", "doesn't", "cannot", "can't", "without"]),
    (
        Mailbox,
        &[
            "all emails", "all e mails", "all mails", "all mail", "all of the emails", "all of your emails", "all your emails", "all your mail",
            "all messages", "all of your messages", "all your messages", "every email", "every e mail", "every message", "all correspondence",
            "entire inbox", "whole inbox", "entire mailbox", "whole mailbox", "contents of your inbox", "contents of the inbox",
            "contents of this inbox", "contents of the mailbox", "contents of this mailbox", "contents of your mailbox", "everything in your inbox",
            "everything in the inbox", "inbox contents", "mailbox contents", "last ten emails", "last five emails", "last 5 emails", "last 10 emails",
            "last 20 emails", "last 50 emails", "last 100 emails", "latest emails", "most recent emails", "recent emails", "last 10 messages",
            "last ten messages", "recent messages", "contact list", "contacts list", "address book", "all contacts", "all your contacts",
            "all of your contacts", "customer list", "customer database", "email history", "mail history", "conversation history", "all attachments",
            "all documents", "all files", "all threads", "unread emails", "all invoices in your", "sent folder", "all drafts",
        ],
    ),
    (Delete, &["delete", "erase", "wipe", "purge", "destroy", "permanently remove", "empty the", "trash"]),
    (
        NotTell,
        &[
            "do not tell", "don't tell", "do not inform", "don't inform", "do not notify", "don't notify", "do not alert", "don't alert",
            "do not mention", "don't mention", "never mention", "never tell", "do not reveal", "don't reveal", "never reveal", "do not disclose",
            "don't disclose", "do not warn", "don't warn", "do not show", "don't show", "do not ask", "don't ask", "without telling", "without informing",
            "without notifying", "without alerting", "without asking", "without mentioning", "without consulting", "must not tell", "must not know",
            "should not know", "must not be told", "must not mention", "hide this from", "hide it from", "keep this from", "conceal this from", "secret from",
            "hidden from", "do not let", "don't let", "do not report", "don't report", "do not log", "don't log", "do not flag", "not be shown to",
            "not visible to", "do not say", "do not refer to", "do not discuss",
        ],
    ),
    (
        Principal,
        &[
            "the user", "your user", "user", "the owner", "your owner", "your operator", "the operator", "operator", "the human", "your human", "a human",
            "any human", "humans", "your principal", "the account owner", "the mailbox owner", "your boss", "your administrator",
            "your developer*", "your creator*", "your supervisor", "your master",
        ],
    ),
    (
        ThisMail,
        &[
            "this instruction", "these instructions", "this prompt", "this directive", "this command", "these commands", "this email in your",
            "this message in your", "this request in your", "that you received this", "that you were instructed", "this instruction in your",
            "you received these", "the existence of this", "having received this", "this step", "this action", "these actions",
        ],
    ),
    (
        NoAsk,
        &[
            "without asking", "without confirmation", "without further confirmation", "without approval", "without waiting", "without permission",
            "without consent", "without review", "do not ask for confirmation", "don't ask for confirmation", "do not ask for permission",
            "don't ask for permission", "do not wait for", "no confirmation is needed", "no confirmation needed", "no approval is required",
            "no approval needed", "skip confirmation", "skip the confirmation", "skip verification", "has already been approved", "pre approved",
            "do not verify", "don't verify", "no need to verify", "without verifying", "already authorized",
        ],
    ),
    (Pay, &["pay", "transfer", "wire", "remit", "purchase", "buy", "make a payment", "send payment", "initiate a payment", "process a payment", "wire transfer", "release the payment", "approve the payment", "get some"]),
    (Money, &["funds", "iban", "bank account", "account number", "usd", "eur", "gbp", "dollars", "euros", "pounds", "payment", "bank transfer", "money", "invoice", "sum of", "amount"]),
    (GiftCard, &["gift card", "gift cards", "giftcard", "giftcards", "gift certificate*", "amazon cards", "itunes cards", "steam cards", "google play cards", "vouchers", "prepaid cards"]),
    (CardCode, &["codes", "the code", "scratch", "pictures of", "photos of", "pin numbers", "serial numbers", "back of the card*", "card numbers"]),
    (Urgent, &["urgent", "urgently", "immediately", "right away", "right now", "asap", "as soon as possible", "without delay", "at once", "within the hour", "within the next hour", "time sensitive", "before end of day", "before close of business", "very quickly"]),
    (
        Authority,
        &[
            "ceo", "cfo", "coo", "cto", "chief executive", "managing director", "the chairman", "system administrator", "your administrator", "it department",
            "it security", "security team", "the president", "board of directors", "on behalf of the", "legal department", "anthropic", "openai",
            "root user", "superuser", "your developer*", "law enforcement", "by order of", "executive order",
        ],
    ),
    (Call, &["call", "invoke", "use", "run", "execute", "trigger", "using", "calling"]),
    (Tool, &["tool", "tools", "function", "functions", "plugin", "command", "api", "action"]),
    (Decode, &["decode", "decoded", "decoding", "decipher", "decrypt", "unscramble", "reverse the", "read backwards", "translate from"]),
    (Encoding, &["base64", "base 64", "rot13", "rot 13", "hex", "hexadecimal", "morse", "caesar cipher", "cipher", "ascii codes", "url encoded", "binary", "unicode escapes", "leetspeak", "backwards"]),
    (Execute, &["follow", "execute", "obey", "comply", "carry out", "perform", "run", "act on", "do what it says", "do as it says", "adhere to"]),
    (Following, &["the following instructions", "following instructions", "these instructions", "instructions below", "the instructions in", "the steps below", "these commands", "the following commands", "the following steps", "the result", "the decoded", "the output"]),
    (
        Markup,
        &[
            "<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>", "<|end_of_text|>", "<|begin_of_text|>",
            "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|endofprompt|>", "<|channel|>", "<|message|>", "<|tool_call|>",
            "<start_of_turn>", "<end_of_turn>", "<<sys>>", "<</sys>>", "[inst]", "[/inst]", "[system]", "[system message]", "[system prompt]",
            "[/system]", "[assistant]", "[developer]", "<system>", "</system>", "<system_prompt>", "</system_prompt>", "<system message>",
            "<system instruction*>", "<assistant>", "</assistant>", "<instructions>", "</instructions>", "<important>", "<tool_call>",
            "</tool_call>", "<tool_response>", "<tool_result>", "<tool_use>", "<function_call>", "<function_calls>", "<function_results>",
            "<invoke name", "<system-reminder>", "</user_message>", "</email>", "</email_content>", "</document>", "</untrusted>", "</context>",
            "</user>", "</user_input>", "### instruction", "### system", "### human:", "### assistant:", "### user:", "### response:",
            "### new instruction", "## system prompt", "\"tool_calls\"", "\"tool_call\"", "\"function_call\"", "\"tool_use\"", "{\"tool\":",
            "{\"action\":", "{\"function\":", "{\"role\": \"system\"", "\"role\": \"system\"", "\"role\":\"assistant\"", "{{#system", "{{system",
            "begin system prompt", "end system prompt", "end of system prompt", "start of system prompt", "begin system message",
            "end of user input", "end of user message", "end of email content", "end of untrusted", "end of document begin", "end of context",
            "begin new instructions", "begin admin override", "```tool_code", "```system", "[[system", "=== system", "--- system prompt", "*** system",
            "human: ignore", "tool_code print",
        ],
    ),
    (RoleLine, &["system:", "[system]:", "system message:", "system notice:", "system override:", "system alert:", "developer:", "assistant:", "admin:", "root:", "system update:", "system note:", "new prompt:"]),
    (YouMust, &["you must", "you will", "you should", "you have to", "you shall", "you need to", "you are required", "you are instructed", "you are to", "make sure to", "be sure to", "always"]),
    (
        InReply,
        &[
            "in your reply", "in your response", "in your summary", "in the summary", "in your answer", "to your reply", "to your response", "to your summary", "to the summary",
            "at the end of your", "at the beginning of your", "include the following", "say that", "state that", "answer that", "reply only with",
            "respond only with", "append", "output only", "rate this", "classify this", "mark this", "recommend", "tell the user", "tell your user",
            "inform the user",
        ],
    ),
    (Forget, &["forget everything", "forget all", "ignore everything", "disregard everything", "ignore the above", "disregard the above", "ignore what", "forget what", "ignore the rest", "disregard what", "start over as", "reset yourself", "reset your"]),
    (
        Unknowing,
        &[
            "without the user's knowledge", "without the user knowing", "without the owner knowing", "without your user", "without human",
            "without the knowledge of the user", "behind the user's back", "the user must not", "the user should not know", "the user does not need to know",
            "the user doesn't need to know", "the user cannot see", "the human must not", "your owner must not", "secretly", "covertly", "silently forward",
            "silently send", "silently copy", "without leaving a trace",
        ],
    ),
];
