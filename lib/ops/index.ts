/** `cinefuse/ops`: the operators, usable on their own. */
export { type Activation, activation, activationSync, logSoftmax, softmax } from './activation.js';
export { type Backend, defaultIsa, defaultThreads, type ExecOptions, type Isa } from './exec.js';
export { Linear, type LinearLayer, type LinearOptions, linear } from './linear.js';
export { Prepared } from './prepared.js';
