import { container as root, instancePerContainerCachingFactory, type DependencyContainer } from 'tsyringe';

/** Names something that the container makes, and says of what type it is. */
export interface Token<Value> {
  readonly symbol: symbol;
  /** Only for the type: it is never there. */
  readonly value?: Value;
}

export function token<Value>(name: string): Token<Value> {
  return { symbol: Symbol(name) };
}

/** What a recipe may ask for. */
export type Get = <Value>(wanted: Token<Value>) => Value;

/**
 * The composition root's container: a recipe a token, each made once, when it is first asked for. One a process (or one a test): nothing is global. Classes do not know
 * it: their constructors take what they need.
 */
export class Composition {
  private readonly container: DependencyContainer = root.createChildContainer();

  /** Says how a value is made. */
  bind<Value>(wanted: Token<Value>, recipe: (get: Get) => Value): this {
    this.container.register<Value>(wanted.symbol, {
      useFactory: instancePerContainerCachingFactory((inner) => recipe(getFrom(inner))),
    });
    return this;
  }

  readonly get: Get = (wanted) => getFrom(this.container)(wanted);
}

const getFrom =
  (container: DependencyContainer): Get =>
  (wanted) =>
    container.resolve(wanted.symbol);
