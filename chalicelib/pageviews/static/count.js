// Counts page views and events without cookies. It runs in other people's pages: no dependencies, nothing global but
// `window.goatcounter`, and syntax that browsers have known since 2012. What pages see of it (settings, functions,
// attributes, query) is the tracking script's part of the page-view contract, section 4.3.
//
// `count.min.js` is what is served; `make script` makes it of this file.
(function () {
    'use strict'

    var SETTINGS = ['no_onload', 'no_events', 'allow_local', 'allow_frame', 'path', 'title', 'referrer', 'event'],
        LOCAL = /^(127|10|192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d+){2,3}$|^0\.0\.0\.0$|^\[::1?\]$|(^|\.)localhost$/,
        SURROGATES = /[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g,
        SKIP = 'skipgc',
        TOGGLE = '#toggle-goatcounter',
        SOON = 50

    // What the browser itself has by a name. Elements hide properties of their document by their names, fields those of
    // their form: `<form name=title>` is `document.title`.
    function its(object, name) {
        for (var up = Object.getPrototypeOf(object); up; up = Object.getPrototypeOf(up)) {
            var found = Object.getOwnPropertyDescriptor(up, name) || {}
            if (found.get)
                return found.get.call(object)
            if (found.value)
                return found.value
        }
        return object[name] // old browsers show no getters
    }

    // The same of texts; the page's script may have given it another text, but an element is none.
    function text(object, name) {
        var value = object[name]
        if (typeof value !== 'string')
            value = its(object, name)
        return typeof value === 'string' ? value : ''
    }

    function call(object, method, a, b) {
        return its(object, method).call(object, a, b, false)
    }

    function find(selector) {
        return call(document, 'querySelector', selector)
    }

    function create(tag) {
        return call(document, 'createElement', tag)
    }

    function listen(object, event, run) {
        call(object, 'addEventListener', event, run)
    }

    // Settings are what a script of the page has put there; `<a id=goatcounter>` is found there as well.
    var gc = Object.prototype.hasOwnProperty.call(window, 'goatcounter') && window.goatcounter
    if (Object(gc) !== gc || gc.nodeType)
        gc = {}
    window.goatcounter = gc

    function warn(what) {
        if (window.console && console.warn)
            console.warn('goatcounter: ' + what)
    }

    function script() {
        return find('script[data-goatcounter]')
    }

    function said(tag, name) {
        return tag && tag.getAttribute && tag.getAttribute('data-goatcounter' + name)
    }

    function endpoint() {
        return target || said(script(), '') || gc.endpoint
    }

    function unset(value) {
        return value === undefined || value === null
    }

    // Half a surrogate pair, as of an emoji that was cut, cannot be encoded.
    function encode(value) {
        return encodeURIComponent(String(value).replace(SURROGATES, function (found) {
            return found[1] ? found : '\uFFFD'
        }))
    }

    function query(values) {
        return '?' + Object.keys(values).filter(function (name) {
            return values[name] !== '' && values[name] !== false && !unset(values[name])
        }).map(function (name) { return name + '=' + encode(values[name]) }).join('&')
    }

    // Storage may be forbidden: reading the property throws then.
    function skipped(value) {
        try {
            if (value)
                localStorage.setItem(SKIP, value)
            else if (value === '')
                localStorage.removeItem(SKIP)
            return localStorage.getItem(SKIP) === 't'
        } catch (error) {
            return false
        }
    }

    function ready(run) {
        if (its(document, 'readyState') === 'loading')
            listen(document, 'DOMContentLoaded', run)
        else
            run()
    }

    // As soon as there is a body, all of the head is there. Who reads a slow page may leave before the rest is.
    function begun(run) {
        if (its(document, 'body'))
            run()
        else if (its(document, 'readyState') === 'loading')
            setTimeout(function () { begun(run) }, SOON)
        else
            run()
    }

    function bare(host) {
        return host.replace(/^www\./, '')
    }

    // The canonical address, if it is one of this host: it has no parameters that only trackers want.
    function page() {
        var link = find('link[rel~="canonical"][href]'), place = location
        if (link) {
            var a = create('a')
            a.href = link.href
            if (bare(a.hostname) === bare(location.hostname))
                place = a
        }
        return (place.pathname + place.search) || '/'
    }

    // What tools that drive browsers leave there. An element may have such a name, and so be found there as well.
    function left(object, names) {
        return names.some(function (name) {
            return object[name] && !find('[name=' + name + '],[id=' + name + ']')
        })
    }

    function robot() {
        if (left(window, ['callPhantom', '_phantom', 'phantom']))
            return 150
        if (left(window, ['__nightmare']))
            return 151
        if (left(document, ['__selenium_unwrapped', '__webdriver_evaluate', '__driver_evaluate']))
            return 152
        return navigator.webdriver ? 153 : 0
    }

    // What a call says, else what the page has set, else the default. A callback is given the default.
    function chosen(given, set, otherwise) {
        var value = unset(given) ? set : given
        if (typeof value === 'function')
            return value(otherwise)
        return unset(value) ? otherwise : value
    }

    function prerendering() {
        return its(document, 'prerendering') === true
    }

    gc.get_data = function (vars) {
        vars = vars || {}
        var data = {
            p: chosen(vars.path, gc.path, page()),
            r: chosen(vars.referrer, gc.referrer, text(document, 'referrer')),
            t: chosen(vars.title, gc.title, text(document, 'title')),
            e: !!chosen(vars.event, gc.event, false),
            s: +Object(window.screen).width || 0,
            b: robot(),
            q: location.search
        }
        if (chosen(vars.no_session, gc.no_session, false))
            data.ns = true
        return data
    }

    gc.get_query = function (name) {
        var parts = location.search.slice(1).split('&')
        for (var i = 0; i < parts.length; i++)
            if (parts[i].toLowerCase().indexOf(name.toLowerCase() + '=') === 0)
                return parts[i].slice(name.length + 1)
    }

    gc.filter = function () {
        if (prerendering() || text(document, 'visibilityState') === 'prerender')
            return 'visibilityState'
        if (!gc.allow_frame && window !== window.top)
            return 'frame'
        if (!gc.allow_local && LOCAL.test(location.hostname))
            return 'localhost'
        if (!gc.allow_local && location.protocol === 'file:')
            return 'localfile'
        return skipped() ? 'disabled with ' + TOGGLE : false
    }

    gc.url = function (vars) {
        var data = gc.get_data(vars), to = endpoint()
        if (unset(data.p))
            return warn('not counted: the path is null')
        if (!to)
            return warn('not counted: no endpoint, neither data-goatcounter nor goatcounter.endpoint')
        data.rnd = ('0000' + Math.floor(Math.random() * 60466176).toString(36)).slice(-5)
        return to + query(data)
    }

    function beacon(url) {
        try {
            return navigator.sendBeacon(url)
        } catch (error) {
            return false
        }
    }

    // For browsers without beacons, and where an extension or a setting refuses them.
    function image(url) {
        var img = create('img')
        img.onload = img.onerror = function () {} // so that it is kept until then, in no place of the page
        img.src = url
    }

    gc.count = function (vars) {
        var reason = gc.filter()
        if (reason)
            return warn('not counted: ' + reason)
        var url = gc.url(vars)
        if (url && !beacon(url))
            image(url)
    }

    gc.bind_events = function () {
        var found = call(document, 'querySelectorAll', '[data-goatcounter-click]')
        Array.prototype.forEach.call(found, function (element) {
            function own(name) {
                return call(element, 'getAttribute', 'data-goatcounter-' + name)
            }
            function send(event) {
                if (event.button > 1) // the right one opens a menu, others lead back and forth
                    return
                gc.count({
                    event: true,
                    path: own('click') || text(element, 'name') || text(element, 'id'),
                    title: own('title') || text(element, 'title') ||
                        text(element, 'innerHTML').slice(0, 200).replace(/[\uD800-\uDBFF]$/, ''),
                    referrer: own('referrer') || own('referral') || '',
                    no_session: /^(1|t|true)$/i.test(own('no-session'))
                })
            }
            if (own('bound'))
                return
            call(element, 'setAttribute', 'data-goatcounter-bound', 'true')
            listen(element, 'click', send)
            listen(element, 'auxclick', send)
        })
    }

    gc.visit_count = function (opt) {
        ready(function () {
            opt = opt || {}
            var type = opt.type || 'html', to = endpoint(),
                tag = {html: 'iframe', svg: 'img', png: 'img'}[type],
                place = find(opt.append || 'body')
            if (!tag || !place || !to)
                return warn('visit_count: no ' +
                    (!tag ? 'type ' + type : !place ? 'element ' + opt.append : 'endpoint'))

            var element = create(tag),
                attr = opt.attr ? {} : {width: '200', height: opt.no_branding ? '60' : '80'},
                path = unset(opt.path) || opt.path === '' ? gc.get_data().p : opt.path
            if (tag === 'iframe') {
                attr.frameborder = '0'
                attr.scrolling = 'no'
                attr.title = 'Views'
            } else
                attr.alt = ''
            for (var name in opt.attr)
                attr[name] = opt.attr[name]
            attr.src = to + 'er/' + encode(unset(path) ? page() : path) + '.' + type + query({
                no_branding: opt.no_branding ? '1' : '',
                style: opt.style,
                start: opt.start,
                end: opt.end
            })
            for (name in attr)
                element.setAttribute(name, attr[name])
            call(place, 'appendChild', element)
        })
    }

    // Somebody's own visits: loading any page with this fragment turns counting off in this browser, and on again.
    if (location.hash === TOGGLE) {
        var off = skipped(skipped() ? '' : 't')
        alert('Page views from this browser are ' + (off ? 'not counted any more' : 'counted') + ' on ' +
              location.hostname + '.')
    }

    // An application may take the script's tag away, or put another in its place, so it is read once.
    var tag = script() || its(document, 'currentScript'), target = said(tag, ''), set = said(tag, '-settings')
    if (set)
        try {
            set = JSON.parse(set)
            SETTINGS.forEach(function (name) {
                if (set && name in Object(set))
                    gc[name] = set[name]
            })
        } catch (error) {
            warn('data-goatcounter-settings is not JSON: ' + error)
        }

    if (!gc.no_onload) {
        begun(function () {
            // A page that was prerendered or opened in the background is seen later, or never. Chromium calls a
            // prerendered page visible before it says that it is not prerendered any more.
            var events = ['visibilitychange', 'prerenderingchange']
            function seen() {
                if (prerendering() || (text(document, 'visibilityState') || 'visible') !== 'visible')
                    return
                events.forEach(function (name) { call(document, 'removeEventListener', name, seen) })
                gc.count()
            }
            events.forEach(function (name) { listen(document, name, seen) })
            seen()
        })
        ready(function () {
            if (!gc.no_events)
                gc.bind_events()
        })
    }
})();
