// phone.js starts the page: the table of the phone's pages, then the desk around it.

import {start, go} from './view.js';
import {desk} from './desk.js';
import {drawer} from './drawer.js';
import {rolesPage, welcomePage} from './pages/start.js';
import {consentPage, consentsPage} from './pages/consent.js';
import {patientPage} from './pages/patient.js';
import {homePage} from './pages/home.js';
import {authorisePage} from './pages/authorise.js';
import {billPage, quotePage} from './pages/bill.js';
import {orderPage} from './pages/order.js';
import {receiptPage} from './pages/receipt.js';
import {refundPage} from './pages/refund.js';
import {recordsPage, mePage, capsuleMenu, logOut} from './pages/me.js';
import {session} from './session.js';

document.getElementById('more').addEventListener('click', () => (session.token ? capsuleMenu() : go('/')));
document.getElementById('leave').addEventListener('click', () => (session.token ? logOut() : go('/')));
desk();
drawer();
start([
  ['/', rolesPage],
  ['/welcome/:user', welcomePage],
  ['/consent/:kind', consentPage],
  ['/consents', consentsPage],
  ['/patient', patientPage],
  ['/home', homePage],
  ['/authorise', authorisePage],
  ['/bill/:no', billPage],
  ['/quote/:no', quotePage],
  ['/order/:id', orderPage],
  ['/order/:id/receipt', receiptPage],
  ['/order/:id/refund', refundPage],
  ['/records', recordsPage],
  ['/me', mePage],
]);
