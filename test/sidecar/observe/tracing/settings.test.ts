import { expect } from 'chai';
import { readTracingSettings, type TracingSettings } from '#sidecar/observe/tracing/settings.ts';

function read(env: Readonly<Record<string, string>>): { settings: TracingSettings; problems: string[] } {
  const problems: string[] = [];
  return { settings: readTracingSettings(env, problems), problems };
}

describe('tracing settings', () => {
  it('are those of OpenTelemetry when nothing is set, but for the delay', () => {
    const { settings, problems } = read({});
    expect(problems).to.deep.equal([]);
    expect(settings).to.deep.equal({
      url: '',
      sampling: { parentBased: true, ratio: 1 },
      disabled: false,
      serviceName: '',
      resourceAttributes: {},
      maxQueue: 2048,
      maxBatch: 512,
      delayMs: 1000,
    });
  });

  it('follow the standard variables', () => {
    const { settings, problems } = read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://jaeger:4318/base',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.05',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=checkout,deployment.environment.name=a%20b',
      OTEL_BSP_MAX_QUEUE_SIZE: '100',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    });
    expect(problems).to.deep.equal([]);
    expect(settings).to.deep.include({
      url: 'http://jaeger:4318/base/v1/traces',
      serviceName: 'checkout',
      maxQueue: 100,
      maxBatch: 10,
      delayMs: 50,
    });
    expect(settings.sampling).to.deep.equal({ parentBased: true, ratio: 0.05 });
    expect(settings.resourceAttributes).to.deep.equal({ 'deployment.environment.name': 'a b' });
    expect(read({ OTEL_SERVICE_NAME: 'shop', OTEL_RESOURCE_ATTRIBUTES: 'service.name=checkout' }).settings.serviceName).to.equal('shop');
    expect(read({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://jaeger:4318/elsewhere' }).settings.url).to.equal(
      'http://jaeger:4318/elsewhere',
    );
    expect(read({ OTEL_TRACES_SAMPLER: 'always_off' }).settings.sampling).to.deep.equal({ parentBased: false, ratio: 0 });
    expect(read({ OTEL_SDK_DISABLED: 'true' }).settings.disabled).to.equal(true);
    expect(read({ OTEL_TRACES_EXPORTER: 'none' }).settings.disabled).to.equal(true);
  });

  it('say what is wrong, and what was meant', () => {
    const wrong: [Record<string, string>, RegExp][] = [
      [
        { OTEL_EXPORTER_OTLP_ENDPOINT: 'jaeger:4318' },
        /OTEL_EXPORTER_OTLP_ENDPOINT must be a URL like http:\/\/collector:4318, not "jaeger:4318"/,
      ],
      [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratoi' }, /not "parentbased_traceidratoi"; nearest: parentbased_traceidratio$/],
      [
        { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '5%' },
        /OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not "5%"/,
      ],
      [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /must be http\/protobuf, not "grpc".*4318/],
      [{ OTEL_RESOURCE_ATTRIBUTES: 'nonsense' }, /key=value pairs; "nonsense" is none/],
      [{ OTEL_BSP_MAX_QUEUE_SIZE: '0' }, /OTEL_BSP_MAX_QUEUE_SIZE must be a number from 1 to 65536, not "0"/],
    ];
    for (const [env, message] of wrong) {
      const { problems } = read(env);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.match(message);
    }
  });
});
