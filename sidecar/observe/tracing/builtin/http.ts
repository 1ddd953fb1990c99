// What OpenTelemetry's exporter takes of node:http, put in its place in the bundle (scripts/build.mjs): an import would read every property of the
// module, among them getters that load undici, 2 MB of the sidecar's memory (Node 24).
export const { Agent, request } = process.getBuiltinModule('node:http');
