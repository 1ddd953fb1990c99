// Injection: the webhook's configuration, its certificate and its programs. Pure.
import { INJECTOR_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts, InjectionWebhook } from './facts.ts';
import { INSTALL, programChecks } from './program-check.ts';

const checks = checksOf('Injector');

/** All that stands between a new pod and its sidecar. */
export function injectorChecks(facts: Facts): Check[] {
  return [
    ...programChecks(facts, 'Injector', 'injector', INJECTOR_NAME, 'new pods get no sidecar'),
    ...webhookChecks(facts),
    ...endpointChecks(facts),
    ...certificateChecks(facts),
  ];
}

function webhookChecks({ webhook }: Facts): Check[] {
  if (!webhook.ok) return [checks.skipped('webhook', 'the webhook could not be read', { details: [webhook.error] })];
  if (!webhook.value) {
    const text = `there is no MutatingWebhookConfiguration ${INJECTOR_NAME}: new pods get no sidecar`;
    return [checks.failed('webhook', text, { hint: INSTALL })];
  }
  const webhooks = webhook.value.webhooks ?? [];
  if (webhooks.length === 0) return [checks.failed('webhook', `MutatingWebhookConfiguration ${INJECTOR_NAME} is empty`, { hint: INSTALL })];
  const astray = webhooks.filter(({ clientConfig }) => {
    const service = clientConfig?.service;
    return service?.namespace !== SYSTEM_NAMESPACE || service.name !== INJECTOR_NAME;
  });
  if (astray.length > 0) {
    return [
      checks.failed('webhook', `MutatingWebhookConfiguration ${INJECTOR_NAME} does not call Service ${SYSTEM_NAMESPACE}/${INJECTOR_NAME}`, {
        details: astray.map(({ name, clientConfig }) => `${name}: ${serviceText(clientConfig?.service)}`),
        hint: INSTALL,
      }),
    ];
  }
  // A webhook for updates keeps no pod from being created.
  const creating = webhooks.filter(
    ({ rules = [] }) => rules.length === 0 || rules.some(({ operations = [] }) => !operations.includes('UPDATE')),
  );
  const policies = [...new Set(creating.map(({ failurePolicy }) => failurePolicy ?? 'Fail'))].sort();
  const meaning = policies.includes('Fail')
    ? 'while the injector is away, pods of meshed namespaces are not created'
    : 'while the injector is away, pods start without a sidecar';
  return [checks.ok('webhook', `the webhook is registered, failurePolicy ${policies.join(' and ')}: ${meaning}`)];
}

function serviceText(service: { namespace?: string; name?: string } | undefined): string {
  return service === undefined ? 'calls no Service' : `calls ${service.namespace}/${service.name}`;
}

function endpointChecks({ injectorEndpoints: read, webhook }: Facts): Check[] {
  if (webhook.ok && !webhook.value) return [];
  if (!read.ok) return [checks.skipped('webhook-endpoints', "the injector's endpoints could not be read", { details: [read.error] })];
  const ready = new Set(
    read.value
      .flatMap(({ endpoints }) => (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false))
      .flatMap(({ addresses }) => addresses ?? []),
  );
  if (ready.size > 0) return [checks.ok('webhook-endpoints', `Service ${INJECTOR_NAME} has ${counted(ready.size, 'ready endpoint')}`)];
  const hint = `kubectl -n ${SYSTEM_NAMESPACE} get endpointslices,pods; a Service that is missing comes with: ${INSTALL}`;
  return [
    checks.failed('webhook-endpoints', `Service ${SYSTEM_NAMESPACE}/${INJECTOR_NAME} has no ready endpoint: ${withoutInjector(webhook)}`, {
      hint,
    }),
  ];
}

/** What the policy makes of a webhook that cannot be called: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy */
function withoutInjector(webhook: Facts['webhook']): string {
  const webhooks = (webhook.ok && webhook.value?.webhooks) || [];
  if (webhooks.length === 0) return 'the webhook cannot be called';
  return webhooks.some(({ failurePolicy = 'Fail' }) => failurePolicy === 'Fail')
    ? 'the webhook cannot be called, and failurePolicy Fail refuses every new pod of meshed namespaces until an injector answers'
    : 'the webhook cannot be called, and failurePolicy Ignore lets new pods start without a sidecar';
}

function certificateChecks({ webhook, handshakes }: Facts): Check[] {
  if (!webhook.ok || !webhook.value?.webhooks?.length) return [];
  const without = bundlesOf(webhook.value).filter(([, bundle]) => bundle === '');
  if (without.length > 0) {
    return [
      checks.failed('webhook-certificate', 'the webhook has no caBundle: the API server trusts no injector', {
        details: without.map(([name]) => name),
        hint: `a running injector fills it in: kubectl -n ${SYSTEM_NAMESPACE} logs deployment/${INJECTOR_NAME}`,
      }),
    ];
  }
  const refused = handshakes.flatMap(({ pod, verdict }) => (verdict.ok && verdict.value !== '' ? [`${pod}: ${verdict.value}`] : []));
  if (refused.length > 0) {
    return [
      checks.failed('webhook-certificate', "the injector's certificate does not hold against the webhook's caBundle", {
        details: refused,
        hint: `an injector puts its own authority there: kubectl -n ${SYSTEM_NAMESPACE} rollout restart deployment/${INJECTOR_NAME}`,
      }),
    ];
  }
  const unknown = handshakes.flatMap(({ pod, verdict }) => (verdict.ok ? [] : [`${pod}: ${verdict.error}`]));
  if (unknown.length === handshakes.length) {
    return [checks.skipped('webhook-certificate', 'no injector could be asked for its certificate', { details: unknown })];
  }
  return [checks.ok('webhook-certificate', "the injector's certificate holds against the webhook's caBundle")];
}

/** [webhook's name, its caBundle in base64 or ''] of each webhook. */
export function bundlesOf({ webhooks = [] }: InjectionWebhook): [name: string, bundle: string][] {
  return webhooks.map(({ name = '', clientConfig }) => [name, clientConfig?.caBundle ?? '']);
}
