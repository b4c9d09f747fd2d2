import { at } from "../state.js";

export default {
  vu: {
    get idInTest() {
      return at.vu;
    },
  },
  scenario: {
    get iterationInTest() {
      return at.iteration;
    },
    get name() {
      return at.scenario;
    },
  },
};
