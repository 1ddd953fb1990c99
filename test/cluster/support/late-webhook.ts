// Another mutating webhook, which the API server calls after Weft's because its name sorts later: it adds an init
// container in front of all others, and a container with a probe. The API server then reviews the pod a second time.
import { createIssuer } from '../pki.ts';
import type { Item } from './objects.ts';
import { CALLER_IMAGE } from './workloads.ts';

const NAME = 'zz-late';

interface LateWebhookOptions {
  /** Where it runs: no sidecar must be there, because the API server calls it. */
  readonly namespace: string;
  /** It changes the pods here that have the label `late: changes`. */
  readonly changes: string;
  readonly initContainer: Record<string, unknown>;
  readonly container: Record<string, unknown>;
}

/** Its pod and Service; once that is Ready, the registration is to be applied. */
export async function lateWebhook(options: LateWebhookOptions): Promise<{ pod: Item; service: Item; registration: Item }> {
  const { namespace, changes, initContainer, container } = options;
  const issuer = await createIssuer();
  const { certificate, key } = await issuer.issue({ subject: `CN=${NAME}`, dns: [`${NAME}.${namespace}.svc`] });
  const patch = [
    { op: 'add', path: '/spec/initContainers/0', value: initContainer },
    { op: 'add', path: '/spec/containers/-', value: container },
  ];
  const script = `
    const patch = Buffer.from(${JSON.stringify(JSON.stringify(patch))}).toString('base64');
    require('node:https').createServer(${JSON.stringify({ key, cert: certificate })}, async (request, answer) => {
      let text = '';
      for await (const piece of request) text += piece;
      const { apiVersion, kind, request: { uid } } = JSON.parse(text);
      answer.end(JSON.stringify({ apiVersion, kind, response: { uid, allowed: true, patchType: 'JSONPatch', patch } }));
    }).listen(8443);`;
  const labels = { app: NAME };
  const containers = [
    {
      name: 'webhook',
      image: CALLER_IMAGE,
      imagePullPolicy: 'IfNotPresent',
      command: ['node', '-e', script],
      readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
    },
  ];
  return {
    pod: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: NAME, namespace, labels },
      spec: { terminationGracePeriodSeconds: 0, containers },
    },
    service: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: NAME, namespace },
      spec: { selector: labels, ports: [{ port: 443, targetPort: 8443 }] },
    },
    registration: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: NAME },
      webhooks: [
        {
          name: 'late.e2e.weft.dev',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
          clientConfig: { service: { namespace, name: NAME }, caBundle: Buffer.from(issuer.certificate).toString('base64') },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': changes } },
          objectSelector: { matchLabels: { late: 'changes' } },
        },
      ],
    },
  };
}
