// Counts page views and events without cookies. It runs in other people's pages: no dependencies, nothing global but
// `window.goatcounter`, and syntax that browsers have known since 2012. What pages see of it (settings, functions,
// attributes, query) is the tracking script's part of the page-view contract, section 4.3.
//
// `count.min.js` is what is served; `make script` makes it of this file.
(function () {
    'use strict'

    var gc = window.goatcounter = window.goatcounter || {},
        SETTINGS = ['no_onload', 'no_events', 'allow_local', 'allow_frame', 'path', 'title', 'referrer', 'event'],
        LOCAL = /^(127|10|192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d+){2,3}$|^0\.0\.0\.0$|^\[::1?\]$|(^|\.)localhost$/,
        SKIP = 'skipgc',
        TOGGLE = '#toggle-goatcounter'

    function warn(text) {
        if (window.console)
            console.warn('goatcounter: ' + text)
    }

    function script() {
        return document.querySelector('script[data-goatcounter]')
    }

    function endpoint() {
        var tag = script()
        return (tag && tag.getAttribute('data-goatcounter')) || gc.endpoint
    }

    function unset(value) {
        return value === undefined || value === null
    }

    function query(values) {
        var parts = []
        for (var name in values)
            if (values[name] !== '' && values[name] !== false && !unset(values[name]))
                parts.push(name + '=' + encodeURIComponent(values[name]))
        return '?' + parts.join('&')
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
        if (document.readyState === 'loading')
            document.addEventListener('DOMContentLoaded', run, false)
        else
            run()
    }

    function bare(host) {
        return host.replace(/^www\./, '')
    }

    // The canonical address, if it is one of this host: it has no parameters that only trackers want.
    function page() {
        var link = document.querySelector('link[rel~="canonical"][href]'), place = location
        if (link) {
            var target = document.createElement('a')
            target.href = link.href
            if (bare(target.hostname) === bare(location.hostname))
                place = target
        }
        return (place.pathname + place.search) || '/'
    }

    function robot() {
        var w = window, d = document
        if (w.callPhantom || w._phantom || w.phantom)
            return 150
        if (w.__nightmare)
            return 151
        if (d.__selenium_unwrapped || d.__webdriver_evaluate || d.__driver_evaluate)
            return 152
        return navigator.webdriver ? 153 : 0
    }

    // What a call says, else what the page has set, else the default. A callback is given the default.
    function chosen(said, set, otherwise) {
        var value = unset(said) ? set : said
        if (typeof value === 'function')
            return value(otherwise)
        return unset(value) ? otherwise : value
    }

    gc.get_data = function (vars) {
        vars = vars || {}
        var data = {
            p: chosen(vars.path, gc.path, page()),
            r: chosen(vars.referrer, gc.referrer, document.referrer),
            t: chosen(vars.title, gc.title, document.title),
            e: !!chosen(vars.event, gc.event, false),
            s: window.screen.width,
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
        if (document.prerendering || document.visibilityState === 'prerender')
            return 'visibilityState'
        if (!gc.allow_frame && window !== window.parent)
            return 'frame'
        if (!gc.allow_local && LOCAL.test(location.hostname))
            return 'localhost'
        if (!gc.allow_local && location.protocol === 'file:')
            return 'localfile'
        return skipped() ? 'disabled with ' + TOGGLE : false
    }

    gc.url = function (vars) {
        var data = gc.get_data(vars), target = endpoint()
        if (unset(data.p))
            return warn('not counted: the path is null')
        if (!target)
            return warn('not counted: no endpoint, neither data-goatcounter nor goatcounter.endpoint')
        data.rnd = ('0000' + Math.floor(Math.random() * 60466176).toString(36)).slice(-5)
        return target + query(data)
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
        var img = document.createElement('img'), place = document.body || document.documentElement
        function remove() {
            if (img.parentNode)
                img.parentNode.removeChild(img)
        }
        img.alt = ''
        img.setAttribute('aria-hidden', 'true')
        img.style.cssText = 'position:absolute;bottom:0;width:1px;height:1px;opacity:0'
        img.addEventListener('load', remove, false)
        img.addEventListener('error', remove, false)
        img.src = url
        place.appendChild(img)
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
        var found = document.querySelectorAll('[data-goatcounter-click]')
        Array.prototype.forEach.call(found, function (element) {
            function own(name) {
                return element.getAttribute('data-goatcounter-' + name)
            }
            function send() {
                gc.count({
                    event: true,
                    path: own('click') || element.getAttribute('name') || element.id || '',
                    title: own('title') || element.title || (element.innerHTML || '').slice(0, 200),
                    referrer: own('referrer') || own('referral') || '',
                    no_session: /^(1|t|true)$/i.test(own('no-session'))
                })
            }
            if (own('bound'))
                return
            element.setAttribute('data-goatcounter-bound', 'true')
            element.addEventListener('click', send, false)
            element.addEventListener('auxclick', send, false)
        })
    }

    gc.visit_count = function (opt) {
        ready(function () {
            opt = opt || {}
            var type = opt.type || 'html', target = endpoint(),
                tag = {html: 'iframe', svg: 'img', png: 'img'}[type],
                place = document.querySelector(opt.append || 'body')
            if (!tag || !place || !target)
                return warn('visit_count: no ' + (!tag ? 'type ' + type : !place ? 'element ' + opt.append : 'endpoint'))

            var element = document.createElement(tag),
                attr = {width: '200', height: opt.no_branding ? '60' : '80'},
                path = unset(opt.path) || opt.path === '' ? gc.get_data().p : opt.path
            if (tag === 'iframe') {
                attr.frameborder = '0'
                attr.scrolling = 'no'
                attr.title = 'Views'
            } else
                attr.alt = ''
            for (var name in opt.attr)
                attr[name] = opt.attr[name]
            attr.src = target + 'er/' + encodeURIComponent(unset(path) ? page() : path) + '.' + type + query({
                no_branding: opt.no_branding ? '1' : '',
                style: opt.style,
                start: opt.start,
                end: opt.end
            })
            for (name in attr)
                element.setAttribute(name, attr[name])
            place.appendChild(element)
        })
    }

    // Somebody's own visits: loading any page with this fragment turns counting off in this browser, and on again.
    if (location.hash === TOGGLE) {
        var off = skipped(skipped() ? '' : 't')
        alert('Page views from this browser are ' + (off ? 'not counted any more' : 'counted') + ' on ' +
              location.hostname + '.')
    }

    var own = script(), set = own && own.getAttribute('data-goatcounter-settings')
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

    if (!gc.no_onload)
        ready(function () {
            // A page that was prerendered or opened in the background is seen later, or never. Chromium calls a
            // prerendered page visible before it says that it is not prerendered any more.
            var events = ['visibilitychange', 'prerenderingchange']
            function seen() {
                if (document.visibilityState === 'hidden' || document.prerendering)
                    return
                events.forEach(function (name) { document.removeEventListener(name, seen, false) })
                gc.count()
            }
            events.forEach(function (name) { document.addEventListener(name, seen, false) })
            seen()

            if (!gc.no_events)
                gc.bind_events()
        })
})();
