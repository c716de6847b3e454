// The button and the dialog for the admin token.

import { byId, setText } from "./dom.js";

export class Unlock {
  /**
   * @param calls keeps the token
   * @param check fails for a wrong token
   * @param onChange called when the token was entered or removed
   */
  constructor(calls, check, onChange) {
    Object.assign(this, { calls, onChange });
    this.set(calls.token);
    byId("unlock").addEventListener("click", () => {
      if (calls.token === null) this.open();
      else {
        this.set(null);
        onChange();
      }
    });
    byId("unlock-cancel").addEventListener("click", () => byId("unlock-dialog").close());
    byId("unlock-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const token = byId("token").value.trim();
      try {
        await check(token);
      } catch (error) {
        setText(byId("unlock-error"), error.message);
        return;
      }
      byId("token").value = "";
      this.set(token);
      byId("unlock-dialog").close();
      onChange();
    });
  }

  set(token) {
    this.calls.token = token;
    setText(byId("unlock"), token === null ? "Unlock" : "Lock");
  }

  open() {
    setText(byId("unlock-error"), "");
    byId("unlock-dialog").showModal();
  }
}
