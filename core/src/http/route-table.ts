const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Knows which methods a path has, so that a wrong method can be told from a wrong path. It is asked only after no route was found. */
export class RouteTable {
  private readonly routes = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();

  /** `url` as Fastify writes it: literal segments and `:parameters`. */
  add(method: string | readonly string[], url: string): void {
    let route = this.routes.get(url);
    if (route === undefined) {
      const segments = url.split('/').map((segment) => (segment.startsWith(':') ? '[^/]+' : literal(segment)));
      route = { pattern: new RegExp(`^${segments.join('/')}$`), methods: new Set() };
      this.routes.set(url, route);
    }
    for (const name of [method].flat()) route.methods.add(name);
  }

  methodsOf(path: string): readonly string[] {
    const methods = new Set<string>();
    for (const route of this.routes.values()) {
      if (route.pattern.test(path)) for (const method of route.methods) methods.add(method);
    }
    return [...methods].sort();
  }
}
