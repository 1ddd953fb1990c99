// The tracing settings that `weft run` hands to its sidecars: --otlp, and the user's own OTEL_ settings.
import { expect } from 'chai';
import { UsageError } from '#core/program/failure.ts';
import { otlpUrl, tracingProblems, tracingVariables } from '#local/process/tracing.ts';

describe('local/process: tracing', () => {
  it('hands the user’s settings on, except a service name, which would name all workloads alike', () => {
    const base = {
      HOME: '/h',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a/x',
      OTEL_TRACES_SAMPLER: 'always_off',
      OTEL_SERVICE_NAME: 'mine',
      OTEL_RESOURCE_ATTRIBUTES: 'team=red, service.name=mine,service.namespace=x',
    };
    expect(tracingVariables(base, null)).to.deep.equal({
      HOME: '/h',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a/x',
      OTEL_TRACES_SAMPLER: 'always_off',
      OTEL_RESOURCE_ATTRIBUTES: 'team=red,service.namespace=x',
    });
    expect(tracingVariables({}, null)).to.deep.equal({});
  });

  it('traces every call to the URL of --otlp, unless the user has chosen a sampler', () => {
    const against = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a/x',
      OTEL_SDK_DISABLED: 'true',
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc',
    };
    expect(tracingVariables({ ...against, OTEL_EXPORTER_OTLP_HEADERS: 'k=v' }, 'http://c')).to.deep.equal({
      OTEL_TRACES_SAMPLER: 'parentbased_always_on',
      OTEL_EXPORTER_OTLP_HEADERS: 'k=v',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c',
    });
    expect(tracingVariables({ OTEL_TRACES_SAMPLER: 'traceidratio' }, 'http://c').OTEL_TRACES_SAMPLER).to.equal('traceidratio');
  });

  it('starts no sidecar with settings that it would refuse', () => {
    const others = { HOME: '/h', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
    expect(tracingVariables(others, null)).to.deep.equal({ HOME: '/h' });
    expect(tracingProblems(others, null)).to.have.length(1);
    expect(tracingProblems(others, 'http://c')).to.deep.equal([]);
    const [problem] = tracingProblems({ OTEL_TRACES_SAMPLER: 'always' }, 'http://c');
    expect(problem).to.include('OTEL_TRACES_SAMPLER must be one of');
  });

  it('takes the URL of the collector alone', () => {
    expect(otlpUrl('http://127.0.0.1:4318/')).to.equal('http://127.0.0.1:4318');
    expect(() => otlpUrl('http://c:4318/v1/traces')).to.throw(UsageError, 'did you mean http://c:4318?');
    expect(() => otlpUrl('c:4318')).to.throw(UsageError, '--otlp "c:4318" is not an http:// or https:// URL: did you mean http://c:4318?');
  });
});
