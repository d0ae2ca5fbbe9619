import { sql } from 'kysely';
import type { Composition } from './container.ts';
import { tokens } from './composition.ts';
import { SwitchyardError } from './errors.ts';
import { registerControlPlane } from './http/control-plane.ts';
import { registerIngestion } from './http/ingestion.ts';
import { collectRoutes } from './http/openapi.ts';
import { registerOperations, type HealthProbe } from './http/operations.ts';

export interface Listening {
  readonly address: string;
  close(): Promise<void>;
}

/** Puts every route on one port and listens. */
export async function startServer({ get }: Composition, version: string): Promise<Listening> {
  const { settings, metrics, registry, database, log } = get(tokens.opened);
  const { app, lifecycle } = get(tokens.server);
  const engine = get(tokens.engine);
  await collectRoutes(app, version);
  await registerIngestion(app, {
    definitions: registry.all('source').map(({ definition }) => definition),
    keys: get(tokens.keyRing),
    sources: get(tokens.sourceInstances),
    ingress: get(tokens.ingress),
    metrics,
    maxBodyBytes: settings.ingestMaxBodyBytes,
    lifecycle,
  });
  await registerControlPlane(app, get(tokens.controlPlane));
  const probes: readonly HealthProbe[] = [
    { name: 'log', required: true, check: () => log.probe() },
    // Events are accepted without the database, so a process without it is still of use.
    { name: 'database', required: false, check: async () => void (await sql`select 1`.execute(database.db)) },
  ];
  const { registry: prometheus, cursorLag, retriesWaiting } = metrics;
  await registerOperations(app, {
    probes,
    metrics: {
      contentType: prometheus.contentType,
      metrics: async () => {
        cursorLag.reset();
        retriesWaiting.reset();
        // While the database is away the figure is absent, which is what is known of it.
        const retries = await engine.retriesWaiting().catch(() => []);
        for (const { destination, count } of retries) retriesWaiting.set({ destination }, count);
        for (const { pipeline, destination, lag } of engine.lags()) cursorLag.set({ pipeline, destination }, lag);
        return prometheus.metrics();
      },
    },
    lifecycle,
  });
  const { host, port } = settings;
  const address = await app.listen({ host, port }).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SwitchyardError(
      'SETTING_INVALID',
      `Cannot listen on HOST=${host}, PORT=${port} (${reason}): free the port, or set others.`,
      undefined,
      { cause: error },
    );
  });
  return { address, close: () => app.close() };
}
