/** WeChat's `wxLogin.js`: `new WxLogin({id, appid, …})` shows the QR page in a frame of the site's own page. */
(() => {
  const root = document.currentScript.src.replace(/\/connect\/zh_CN\/.*$/, "");
  const passed = ["appid", "scope", "redirect_uri", "state", "style", "href", "stylelite", "fast_login"];

  window.WxLogin = function WxLogin(options) {
    const query = new URLSearchParams({ response_type: "code", login_type: "jssdk" });
    query.set("self_redirect", options.self_redirect ?? "default");
    for (const name of passed) if (options[name] !== undefined) query.set(name, options[name]);
    const frame = document.createElement("iframe");
    frame.src = `${root}/connect/qrconnect?${query}`;
    frame.width = 300;
    frame.height = 400;
    frame.allow = "local-network-access";
    document.getElementById(options.id).replaceChildren(frame);
  };
})();
