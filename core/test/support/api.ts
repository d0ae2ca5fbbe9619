/** A person, or a script, that drives a router by HTTP alone. */
export class Api {
  private constructor(
    readonly address: string,
    readonly token: string,
    readonly project: string,
  ) {}

  static async login(address: string, email: string, password: string): Promise<Api> {
    const { access_token } = await call<{ access_token: string }>(`${address}/api/v1/auth/login`, 'POST', undefined, {
      email,
      password,
    });
    const { items } = await call<{ items: { id: string }[] }>(`${address}/api/v1/projects`, 'GET', access_token);
    const [project] = items;
    if (project === undefined) throw new Error('There is no project.');
    return new Api(address, access_token, project.id);
  }

  get<Answer>(path: string): Promise<Answer> {
    return call(`${this.address}/api/v1/projects/${this.project}/${path}`, 'GET', this.token);
  }

  send<Answer>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
    return call(`${this.address}/api/v1/projects/${this.project}/${path}`, method, this.token, body);
  }

  /** The id of the source that the default project came with. */
  async source(): Promise<string> {
    const { items } = await this.get<{ items: { id: string }[] }>('sources');
    return items[0]?.id ?? '';
  }

  async destination(type: string): Promise<string> {
    const { items } = await this.get<{ items: { id: string; type: string }[] }>('destinations');
    return items.find((item) => item.type === type)?.id ?? '';
  }

  /** Makes a destination, and a published pipeline from the default source through `transforms` to it. */
  async connect(
    type: string,
    config: object,
    transforms: readonly { readonly type: string; readonly config: object }[] = [],
  ): Promise<{ readonly destination: string; readonly pipeline: string }> {
    const name = `${type}-${Math.random().toString(36).slice(2)}`;
    const { id: destination } = await this.send<{ id: string }>('POST', 'destinations', { name, type, config });
    const steps = transforms.map((transform, index) => ({ id: `step-${index}`, kind: 'transform', ...transform }));
    const nodes = [
      { id: 'in', kind: 'source', source: await this.source() },
      ...steps,
      { id: 'out', kind: 'destination', destination },
    ];
    const edges = nodes.slice(1).map(({ id }, index) => [nodes[index]?.id ?? '', id]);
    const { id: pipeline } = await this.send<{ id: string }>('POST', 'pipelines', {
      name,
      definition: { nodes, edges },
    });
    await this.send('POST', `pipelines/${pipeline}/publish`);
    return { destination, pipeline };
  }
}

/** Rejects with the status and the body of an answer that is no success. */
export async function call<Answer>(url: string, method: string, token?: string, body?: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as Answer;
}
