// Every method that the official Node SDK has for the control plane. Prints one JSON object; the test judges it.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, apiUri, apiKey, plan] = process.argv.slice(2);
const required = createRequire(pathToFileURL(`${folder}/`))('nylas');
const Nylas = required.default ?? required;
const config = JSON.parse(readFileSync(plan, 'utf8'));
const called = new Set();

// Notes which methods of a resource are called.
function watched(resource, name) {
  return new Proxy(resource, {
    get(target, key) {
      const value = target[key];
      if (typeof value === 'function') {
        return (...words) => {
          called.add(`${name}.${String(key)}`);
          return value.apply(target, words);
        };
      }
      const isPart = value && typeof value === 'object' && value.constructor?.name !== 'APIClient';
      return isPart && !String(key).startsWith('_') ? watched(value, `${name}.${String(key)}`) : value;
    },
  });
}

function methodsOf(resource) {
  return Object.getOwnPropertyNames(Object.getPrototypeOf(resource)).filter((name) => name !== 'constructor');
}

const nylas = new Nylas({ apiKey, apiUri, timeout: 30 });
const resources = ['applications', 'auth', 'connectors', 'domains', 'grants', 'lists', 'policies', 'rules', 'webhooks', 'workspaces'];
const all = resources.flatMap((name) => methodsOf(nylas[name]).map((method) => `${name}.${method}`));
all.push(...methodsOf(nylas.applications.redirectUris).map((method) => `applications.redirectUris.${method}`));
all.push(...methodsOf(nylas.connectors.credentials).map((method) => `connectors.credentials.${method}`));
const sdk = Object.fromEntries(resources.map((name) => [name, watched(nylas[name], name)]));

async function refusal(attempt) {
  try {
    await attempt();
    return null;
  } catch (error) {
    const { statusCode, type, requestId, message, errorCode, errorDescription, errorUri } = error;
    return { kind: error.constructor.name, statusCode, type, requestId, message, error: error.error, errorCode, errorDescription, errorUri };
  }
}

async function applications() {
  const before = (await sdk.applications.getDetails()).data;
  const requestBody = {
    branding: { name: 'Node', iconUrl: 'https://a.test/i.png', websiteUrl: 'https://a.test/', description: 'd' },
    hostedAuthentication: { title: 'Sign in', subtitle: 's', colorPrimary: '#112233', colorSecondary: '#445566', backgroundColor: '#ffffff', alignment: 'left', spacing: 3, backgroundImageUrl: 'https://a.test/b.png', termsOfServiceUrl: 'https://a.test/t', privacyPolicyUrl: 'https://a.test/p' },
    idpSettings: { origins: 'https://o.test', issuers: 'https://i.test' },
    additionalSettings: { loginUrl: 'https://a.test/login', logoutUrl: 'https://a.test/out', rotateRefreshToken: true, refreshTokenExpirationIdle: 3600, refreshTokenExpirationAbsolute: 86400, allowQueryParamInRedirectUri: false },
  };
  const after = (await sdk.applications.update({ requestBody })).data;
  const uris = sdk.applications.redirectUris;
  const settings = { packageName: 'p', sha1CertificateFingerprint: 'AA:BB' };
  const made = (await uris.create({ requestBody: { url: 'https://n.test/cb', platform: 'android', settings } })).data;
  const found = (await uris.find({ redirectUriId: made.id })).data;
  const listed = (await uris.list()).data;
  const changed = (await uris.update({ redirectUriId: made.id, requestBody: { url: 'https://n.test/other' } })).data;
  const gone = await uris.destroy({ redirectUriId: made.id });
  const missing = await refusal(() => uris.find({ redirectUriId: made.id }));
  return { before, after, requestBody, made, found, listed, changed, gone: gone.requestId, missing };
}

async function connectors() {
  const made = (await sdk.connectors.create({ requestBody: { name: 'nylas', provider: 'nylas' } })).data;
  const twice = await refusal(() => sdk.connectors.create({ requestBody: { name: 'nylas', provider: 'nylas' } }));
  const found = (await sdk.connectors.find({ provider: 'nylas' })).data;
  const limited = (await sdk.connectors.list({ queryParams: { limit: 1 } })).data;
  const gone = await sdk.connectors.destroy({ provider: 'nylas' });
  const missing = await refusal(() => sdk.connectors.find({ provider: 'nylas' }));
  return { made, twice, found, limited, gone: gone.requestId, missing };
}

// By PUT, where the Python SDK uses PATCH.
async function connectorUpdate() {
  await nylas.connectors.create({ requestBody: { name: 'nylas', provider: 'nylas' } }).catch(() => null);
  return (await sdk.connectors.update({ provider: 'nylas', requestBody: { name: 'Other', settings: {}, scope: [] } })).data;
}

async function grants() {
  const create = (email, settings = {}) =>
    sdk.auth.customAuthentication({ requestBody: { provider: 'nylas', settings: { email, ...settings }, state: 's', scope: [] } });
  const made = (await create('node@agents.test', { appPassword: 'Correct-Horse-Battery-9' })).data;
  const again = (await create('node@agents.test')).data;
  for (let number = 0; number < 5; number += 1) await create(`node-${number}@agents.test`);
  const unknown = await refusal(() => create('node@unknown.test'));
  const list = async (queryParams) => (await sdk.grants.list({ queryParams })).data.map((grant) => grant.email);
  const lists = {
    newest: await list({ limit: 3 }),
    offset: await list({ limit: 2, offset: 1 }),
    oldest: await list({ limit: 2, sortBy: 'created_at', orderBy: 'asc' }),
    updated: await list({ sortBy: 'updated_at', orderBy: 'desc' }),
    email: await list({ email: 'node-3@agents.test' }),
    status: await list({ grantStatus: 'invalid' }),
    provider: await list({ provider: 'nylas', limit: 200 }),
    since: await list({ since: made.createdAt - 5, before: made.createdAt + 600, ip: '' }),
  };
  const found = (await sdk.grants.find({ grantId: made.id })).data;
  const requestBody = { settings: { email: made.email, appPassword: 'Another-Horse-Battery-8' }, scope: [], name: 'Node' };
  const changed = (await sdk.grants.update({ grantId: made.id, requestBody })).data;
  const gone = await sdk.grants.destroy({ grantId: made.id });
  const missing = await refusal(() => sdk.grants.find({ grantId: made.id }));
  const detected = (await sdk.auth.detectProvider({ email: 'x@agents.test', allProviderTypes: true })).data;
  return { made, again, unknown, lists, found, changed, gone: gone.requestId, missing, detected };
}

async function policies() {
  const limits = {
    limitAttachmentSizeLimit: 1000, limitAttachmentCountLimit: 2, limitAttachmentAllowedTypes: ['image/*'], limitSizeTotalMime: 50000,
    limitStorageTotal: 1000000, limitCountDailyMessageReceived: 9, limitCountDailyEmailSent: 5, limitInboxRetentionPeriod: 30, limitSpamRetentionPeriod: 7,
  };
  const spamDetection = { useListDnsbl: true, useHeaderAnomalyDetection: false, spamSensitivity: 1.5 };
  const options = { additionalFolders: ['Leads'], useCidrAliasing: false };
  const made = (await sdk.policies.create({ requestBody: { name: 'Node', limits, spamDetection, options, rules: [] } })).data;
  const found = (await sdk.policies.find({ policyId: made.id })).data;
  const changed = (await sdk.policies.update({ policyId: made.id, requestBody: { limits: { limitCountDailyEmailSent: 4 }, spamDetection: { useListDnsbl: false } } })).data;
  for (let number = 0; number < 24; number += 1) await sdk.policies.create({ requestBody: { name: `P${number}` } });
  const pages = [];
  for await (const page of sdk.policies.list({ queryParams: { limit: 10 } })) {
    if (page.data.length === 0 || pages.length > 10) break;
    pages.push(page.data.map((policy) => policy.id));
  }
  const everything = (await sdk.policies.list({ queryParams: { limit: 25 } })).data.length;
  const gone = await sdk.policies.destroy({ policyId: made.id });
  const missing = await refusal(() => sdk.policies.find({ policyId: made.id }));
  return { limits, spamDetection, options, made, found, changed, pages, everything, gone: gone.requestId, missing };
}

async function lists() {
  const made = (await sdk.lists.create({ requestBody: { name: 'Node', type: 'tld', description: 'd' } })).data;
  const found = (await sdk.lists.find({ listId: made.id })).data;
  const changed = (await sdk.lists.update({ listId: made.id, requestBody: { name: 'Renamed' } })).data;
  const listed = (await sdk.lists.list({ queryParams: { limit: 50 } })).data.map((list) => list.id);
  const values = Array.from({ length: 300 }, (_, number) => `x${String(number).padStart(3, '0')}`);
  const added = (await sdk.lists.addItems({ listId: made.id, requestBody: { items: ['.COM', 'com', ...values] } })).data;
  const items = [];
  for await (const page of sdk.lists.listItems({ listId: made.id, queryParams: { limit: 77 } })) items.push(...page.data);
  const removed = (await sdk.lists.removeItems({ listId: made.id, requestBody: { items: values } })).data;
  const wrong = await refusal(() => sdk.lists.addItems({ listId: made.id, requestBody: { items: ['net', 'a.net'] } }));
  const gone = await sdk.lists.destroy({ listId: made.id });
  const missing = await refusal(() => sdk.lists.find({ listId: made.id }));
  return { made, found, changed, listed, added, items, removed, wrong, gone: gone.requestId, missing };
}

async function workspaces() {
  const policyId = (await nylas.policies.create({ requestBody: { name: 'W' } })).data.id;
  const made = (await sdk.workspaces.create({ requestBody: { name: 'Node', domain: 'node.test', autoGroup: true, policyId, ruleIds: [] } })).data;
  const email = 'a@node.test';
  const grant = (await nylas.auth.customAuthentication({ requestBody: { provider: 'nylas', settings: { email } } })).data;
  const found = (await sdk.workspaces.find({ workspaceId: made.workspaceId })).data;
  const byDomain = (await sdk.workspaces.find({ workspaceId: 'node.test' })).data;
  const listed = (await sdk.workspaces.list()).data;
  const kept = (await sdk.workspaces.update({ workspaceId: made.workspaceId, requestBody: { name: 'Renamed', autoGroup: false } })).data;
  const detached = (await sdk.workspaces.update({ workspaceId: made.workspaceId, requestBody: { policyId: null, ruleIds: null } })).data;
  const removed = (await sdk.workspaces.manualAssign({ workspaceId: made.workspaceId, requestBody: { removeGrants: [grant.id] } })).data;
  const assigned = (await sdk.workspaces.manualAssign({ workspaceId: made.workspaceId, requestBody: { assignGrants: [grant.id] } })).data;
  const job = (await sdk.workspaces.autoGroup({ requestBody: { afterCreatedAt: 1, invalidAlso: false, specificDomain: 'node.test' } })).data;
  const tooSoon = await refusal(() => sdk.workspaces.autoGroup());
  const gone = await sdk.workspaces.destroy({ workspaceId: made.workspaceId });
  const missing = await refusal(() => sdk.workspaces.find({ workspaceId: made.workspaceId }));
  return { policyId, grant, made, found, byDomain, listed, kept, detached, removed, assigned, job, tooSoon, gone: gone.requestId, missing };
}

async function rules() {
  const conditions = [
    { field: 'recipient.domain', operator: 'is', value: 'competitor.test' },
    { field: 'outbound.type', operator: 'is_not', value: 'reply' },
  ];
  const requestBody = {
    name: 'Node', description: 'd', priority: 5, enabled: false, trigger: 'outbound', match: { operator: 'any', conditions },
    actions: [{ type: 'assign_to_folder', value: 'Clients/Acme' }, { type: 'mark_as_read' }],
  };
  const made = (await sdk.rules.create({ requestBody })).data;
  const found = (await sdk.rules.find({ ruleId: made.id })).data;
  const changed = (await sdk.rules.update({ ruleId: made.id, requestBody: { name: 'Other' } })).data;
  const invalid = await refusal(() => sdk.rules.update({ ruleId: made.id, requestBody: { trigger: 'inbound' } }));
  const attached = (await nylas.workspaces.update({ workspaceId: config.workspace, requestBody: { ruleIds: [made.id] } })).data;
  for (let number = 0; number < 4; number += 1) await sdk.rules.create({ requestBody });
  const pages = [];
  for await (const page of sdk.rules.list({ queryParams: { limit: 2 } })) pages.push(page.data.map((rule) => rule.id));
  const everything = (await sdk.rules.list()).data.length;
  const gone = await sdk.rules.destroy({ ruleId: made.id });
  const missing = await refusal(() => sdk.rules.find({ ruleId: made.id }));
  const detached = (await nylas.workspaces.find({ workspaceId: config.workspace })).data;
  const grant = (await nylas.auth.customAuthentication({ requestBody: { provider: 'nylas', settings: { email: 'r@agents.test' } } })).data;
  const evaluations = (await sdk.rules.listEvaluations({ identifier: grant.id, queryParams: { limit: 5 } })).data;
  return { requestBody, made, found, changed, invalid, attached, detached, pages, everything, evaluations, gone: gone.requestId, missing };
}

async function webhooks() {
  const triggerTypes = ['message.created', 'grant.created'];
  const requestBody = { triggerTypes, webhookUrl: config.hook, description: 'd', notificationEmailAddresses: ['ops@agents.test'] };
  const made = (await sdk.webhooks.create({ requestBody })).data;
  const found = (await sdk.webhooks.find({ webhookId: made.id })).data;
  const listed = (await sdk.webhooks.list()).data;
  const changed = (await sdk.webhooks.update({ webhookId: made.id, requestBody: { status: 'pause', description: 'e' } })).data;
  const rotated = (await sdk.webhooks.rotateSecret({ webhookId: made.id })).data;
  const gone = await sdk.webhooks.destroy({ webhookId: made.id });
  const challenge = sdk.webhooks.extractChallengeParameter('https://a.test/?challenge=c');
  return { made, found, listed, changed, rotated, gone: gone.requestId, challenge };
}

async function webhookAddresses() {
  return (await sdk.webhooks.ipAddresses()).data;
}

async function domains() {
  const { ServiceAccountSigner } = required;
  const signer = new ServiceAccountSigner({ privateKeyPem: config.account.private_key, privateKeyId: config.account.private_key_id });
  const made = (await sdk.domains.create({ requestBody: { name: 'Nödë', domainAddress: 'n.example.test' }, signer })).data;
  const byId = (await sdk.domains.find({ domainId: made.id, signer })).data;
  const byAddress = (await sdk.domains.find({ domainId: 'n.example.test', signer })).data;
  const listed = [];
  for await (const page of sdk.domains.list({ queryParams: { limit: 1 }, signer })) listed.push(...page.data.map((one) => one.domainAddress));
  const changed = (await sdk.domains.update({ domainId: made.id, requestBody: { name: 'Other' }, signer })).data;
  const kinds = {};
  for (const type of ['ownership', 'mx', 'spf', 'dkim', 'feedback']) {
    const info = (await sdk.domains.info({ domainId: made.id, requestBody: { type, options: {} }, signer })).data;
    const verified = (await sdk.domains.verify({ domainId: made.id, requestBody: { type }, signer })).data;
    kinds[type] = { info, verified };
  }
  const gone = await sdk.domains.destroy({ domainId: made.id, signer });
  const missing = await refusal(() => sdk.domains.find({ domainId: made.id, signer }));
  return { made, byId, byAddress, listed, changed, kinds, gone: gone.requestId, missing };
}

// The browser's part of the sign-in belongs to the test; here is what the SDK does before it.
async function signIn() {
  const wishes = { clientId: config.application, redirectUri: config.callback, provider: 'nylas', accessType: 'offline', state: 'a b', loginHint: config.email, scope: ['a', 'b'], includeGrantScopes: true, prompt: 'select_provider' };
  return { url: sdk.auth.urlForOAuth2(wishes), pkce: sdk.auth.urlForOAuth2PKCE(wishes) };
}

// And what it does after it, with the two codes that the browser brought.
async function tokens() {
  const wishes = { clientId: config.application, redirectUri: config.callback };
  const plain = await sdk.auth.exchangeCodeForToken({ ...wishes, code: config.code });
  const pkce = await sdk.auth.exchangeCodeForToken({ ...wishes, code: config.pkceCode, codeVerifier: config.secret });
  const used = await refusal(() => sdk.auth.exchangeCodeForToken({ ...wishes, code: 'nonsense' }));
  const fresh = await sdk.auth.refreshAccessToken({ ...wishes, refreshToken: plain.refreshToken });
  const me = (await sdk.grants.find({ grantId: 'me', overrides: { apiKey: fresh.accessToken } })).data;
  const access = (await sdk.auth.accessTokenInfo(fresh.accessToken)).data;
  const identity = (await sdk.auth.idTokenInfo(fresh.idToken ?? plain.idToken)).data;
  const revoked = await sdk.auth.revoke(fresh.accessToken);
  const after = await refusal(() => sdk.grants.find({ grantId: 'me', overrides: { apiKey: fresh.accessToken } }));
  return { plain, pkce, used, fresh, me, access, identity, revoked, after };
}

const parts = { applications, connectors, connectorUpdate, grants, policies, lists, rules, workspaces, webhooks, webhookAddresses, domains, signIn, tokens };
console.log(JSON.stringify({ result: await parts[config.part](), called: [...called], all }));
