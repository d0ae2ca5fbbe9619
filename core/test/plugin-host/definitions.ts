import {
  Secret,
  Type,
  defineDestination,
  type ConfigSchema,
  type Destination,
  type DestinationDefinition,
  type PluginContext,
} from '@switchyard/plugin-sdk';

/** A destination that delivers nothing, with what a test wants to be different. */
export function destinationWith(
  parts: Partial<Pick<DestinationDefinition<unknown>, 'validate' | 'create' | 'requires'>> & {
    readonly config?: ConfigSchema;
  } = {},
): DestinationDefinition<unknown> {
  return defineDestination<unknown>({
    type: 'fixture',
    title: 'Fixture',
    summary: 'For tests.',
    stability: 'stable',
    config: Type.Object({}, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: {} }],
    capabilities: { batch: { maxEvents: 10 }, concurrency: 1, ordering: 'none' },
    create: (_config: unknown, _context: PluginContext): Destination => destination(),
    ...parts,
  });
}

export function destination(parts: Partial<Destination> = {}): Destination {
  return {
    deliver: () => Promise.resolve(new Map()),
    check: () => Promise.resolve({ ok: true, message: 'fine' }),
    ...parts,
  };
}

/** Secrets in every place where one may stand. */
export const secretsEverywhere = Type.Object(
  {
    url: Type.String({ format: 'uri' }),
    token: Type.Optional(Secret()),
    auth: Type.Optional(
      Type.Union([
        Type.Object({ user: Type.String(), password: Secret() }, { additionalProperties: false }),
        Type.Null(),
      ]),
    ),
    headers: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), value: Secret() }, { additionalProperties: false })),
    ),
    keys: Type.Optional(Type.Array(Secret())),
    env: Type.Optional(Type.Record(Type.String(), Secret())),
    pair: Type.Optional(Type.Tuple([Type.String(), Secret()])),
  },
  { additionalProperties: false },
);
