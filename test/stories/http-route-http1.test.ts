// HTTPRoutes for clients and applications that speak HTTP/1.1: Node's own http at both ends of the mesh.
import { once } from 'node:events';
import http from 'node:http';
import { expect } from 'chai';
import { TestMesh } from '../support/mesh.ts';
import { httpRoute, to } from '../support/routes.ts';

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

describe('an HTTPRoute, over HTTP/1.1', () => {
  let mesh: TestMesh;
  const servers: http.Server[] = [];
  const seen: { pod: string; method: string; url: string; host: string }[] = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  before(async () => {
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true },
        { name: 'v2', serves: true },
      ],
      services: { echo: ['v1', 'v2'], v1: ['v1'], v2: ['v2'] },
      declared: false,
    });
    for (const pod of ['v1', 'v2']) {
      const server = http.createServer((request, response) => {
        seen.push({ pod, method: request.method ?? '', url: request.url ?? '', host: request.headers.host ?? '' });
        request.resume();
        response.end(pod);
      });
      const { host, port } = mesh.appAddress(pod);
      server.listen(port, host);
      await once(server, 'listening');
      servers.push(server);
    }
  });

  after(async () => {
    agent.destroy();
    await mesh.close();
    for (const server of servers) server.close();
  });

  async function ask(path: string, headers: http.OutgoingHttpHeaders = {}, method = 'GET'): Promise<Answer> {
    const request = http.request({ ...mesh.address('caller', 'echo'), path, headers: { host: 'echo', ...headers }, method, agent });
    request.end();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    let body = '';
    for await (const chunk of response) body += String(chunk);
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  }

  it('leads, rewrites, redirects and refuses as over HTTP/2, on one connection', async () => {
    const rewrite = {
      type: 'URLRewrite',
      urlRewrite: { hostname: 'one.org', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } },
    };
    mesh.setRoutes([
      httpRoute([
        { matches: [{ path: { value: '/old' } }], filters: [rewrite], backendRefs: [to('v1')] },
        { matches: [{ path: { value: '/moved' } }], filters: [{ type: 'RequestRedirect', requestRedirect: { hostname: 'a.org' } }] },
        { matches: [{ queryParams: [{ name: 'animal', value: 'whale' }] }], backendRefs: [to('v2')] },
      ]),
    ]);
    await mesh.settled();
    expect((await ask('/old/a?b')).body).to.equal('v1');
    expect(seen.at(-1)).to.deep.equal({ pod: 'v1', method: 'GET', url: '/new/a?b', host: 'one.org' });
    expect((await ask('/any?animal=whale')).body).to.equal('v2');
    const moved = await ask('/moved/a?b', {}, 'POST');
    expect([moved.status, moved.headers.location]).to.deep.equal([302, 'http://a.org:8080/moved/a?b']);
    expect((await ask('/nowhere')).status).to.equal(404);
    for (let i = 0; i < 300; i++) {
      expect((await ask(`/old/${i}`)).body).to.equal('v1');
      expect(seen.at(-1)!.url).to.equal(`/new/${i}`);
    }
  });
});
